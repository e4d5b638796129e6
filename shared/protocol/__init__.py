"""The contract of each message between coordinator and site, checked on both sides.

One exchange a module: `describe` (who are you), `train` (evaluate what you receive, then train),
`evaluate` (evaluate only). Each has a request and a reply dataclass and the functions that turn
them into Flower records and back; reading raises ProtocolError.
"""
