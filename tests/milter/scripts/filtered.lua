-- A message is taken, and edited as the filter says.
conn = mt.connect(path, 10, 0.1)
if conn == nil then error("cannot connect") end
if mt.negotiate(conn, nil, nil, nil) ~= nil then error("cannot negotiate") end

if mt.test_option(conn, SMFIP_NODATA) == false then error("DATA is asked for, but nobody needs it") end
if mt.test_option(conn, SMFIP_NOBODY) == true then error("the body is not asked for") end
if mt.test_action(conn, SMFIF_CHGHDRS) == false then error("header changes are not asked for") end

mt.mailfrom(conn, "<zed@sender.test>")
if mt.getreply(conn) ~= SMFIR_CONTINUE then error("MAIL is not taken") end
mt.rcptto(conn, "<one@test.com>")
if mt.getreply(conn) ~= SMFIR_CONTINUE then error("RCPT is not taken") end
mt.header(conn, "Subject", " Hello")
mt.header(conn, "X-Tag", " one")
mt.header(conn, "X-Tag", " two")
mt.bodystring(conn, "Hi there.\r\n")
mt.macro(conn, SMFIC_MAIL, "i", "4bYmCz0R3Dz1Xy")
mt.eom(conn)
if mt.getreply(conn) ~= SMFIR_CONTINUE then error("the message is not taken") end

if not mt.eom_check(conn, MT_HDRADD, "X-Saw", " Hello") then error("X-Saw is not added") end
if not mt.eom_check(conn, MT_HDRCHANGE, "X-Tag", " TWO") then error("X-Tag is not changed") end
if not mt.eom_check(conn, MT_RCPTADD, "<two@test.com>") then error("no recipient is added") end
if not mt.eom_check(conn, MT_BODYCHANGE, "New\r\n") then error("the body is not replaced") end
mt.disconnect(conn)
