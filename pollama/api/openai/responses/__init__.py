"""POST /v1/responses: OpenAI's newer dialect, without stored conversations.

``schemas.py`` and ``items.py`` read a request, ``conversation.py`` turns its items into messages, ``encode.py`` makes
the response object and ``stream.py`` the events of a stream.
"""
