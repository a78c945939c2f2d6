-- Recipients and messages are refused with the filter's own words; the session goes on.
conn = mt.connect(path, 10, 0.1)
if conn == nil then error("cannot connect") end
if mt.negotiate(conn, nil, nil, nil) ~= nil then error("cannot negotiate") end

mt.mailfrom(conn, "<zed@sender.test>")
mt.rcptto(conn, "<nobody@test.com>")
if mt.getreply(conn) ~= SMFIR_REPLYCODE then error("RCPT is not refused") end
mt.rcptto(conn, "<bad@test.com>")
if mt.getreply(conn) ~= SMFIR_CONTINUE then error("RCPT is not taken") end
mt.header(conn, "Subject", " Hello")
mt.bodystring(conn, "Hi there.\r\n")
mt.eom(conn)
if mt.getreply(conn) ~= SMFIR_REPLYCODE then error("the message is not refused") end
if not mt.eom_check(conn, MT_SMTPREPLY, "550", "5.7.1", "100%% no") then error("wrong words") end
if mt.eom_check(conn, MT_HDRADD) then error("a refused message is edited") end

mt.mailfrom(conn, "<zed@sender.test>")
mt.rcptto(conn, "<hold@test.com>")
mt.header(conn, "Subject", " Hello")
mt.bodystring(conn, "Hi there.\r\n")
mt.eom(conn)
if not mt.eom_check(conn, MT_QUARANTINE, "to be looked at") then error("it is not held") end
mt.disconnect(conn)
