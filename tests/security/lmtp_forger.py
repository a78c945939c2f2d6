"""What somebody other than Postfix says to the LMTP server. Runs as a program by itself.

``PORT QUEUE_ID SENDER RECIPIENT``; prints the reply to each step, so that the test sees the last.
"""

FORGER = """
import socket, sys
port, ident, sender, recipient = sys.argv[1:]
with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as client:
    stream = client.makefile("rwb")
    def said():
        while (line := stream.readline())[3:4] == b"-":
            pass
        print(line.decode().rstrip())
    said()
    for line in (
        "LHLO neighbour",
        f"XFORWARD NAME=trusted.example ADDR=192.0.2.1 IDENT={ident} SOURCE=REMOTE",
        f"MAIL FROM:<{sender}>",
        f"RCPT TO:<{recipient}>",
        "DATA",
        f"From: {sender}\\r\\nSubject: forged\\r\\n\\r\\njunk\\r\\n.",
    ):
        stream.write(line.encode() + b"\\r\\n")
        stream.flush()
        said()
"""
