"""WeChat Pay's v2 protocol: signatures, XML, their words in ours, and the client that speaks it."""
