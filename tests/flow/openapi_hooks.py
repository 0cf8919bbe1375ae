# SPDX-License-Identifier: Apache-2.0
"""How schemathesis writes and reads what is no JSON document."""
import json
import os

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.deserializer("application/x-ndjson", "application/vnd.sqlite3")
def text(ctx, response):
    return response.content.decode(errors="replace")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Whoever asks stays who it is: ids that were seen in answers are asked for too."""
    if (case.path_parameters or {}).get("id") == os.environ["SCHEMATHESIS_USER"]:
        case.path_parameters["id"] = "somebody-else"
