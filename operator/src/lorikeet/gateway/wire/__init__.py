"""HTTP/1.1 on raw asyncio protocols: parsing is llhttp's (httptools), framing and flow are here.

client ──► ClientConnection ──Request──► handler ──► Upstream ──► engine
       ◄── Reply ◄─────────── pieces, as they come, with back-pressure ◄──
"""
