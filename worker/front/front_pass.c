/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/front_pass.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "worker/cluster/ask_gate.h"
#include "worker/oci/oci_ask.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/upload_owner_key.h"

#define RETRY_S 1

struct http_response *front_pass_enter(struct front_pass *pass, struct ask_gate *gate,
	const struct oci_ask *ask, size_t weight, const struct front_pass_words *words)
{
	AUTO_FINI(buf) client = buf_limit(UPLOAD_OWNER_KEY_MAX);
	enum ask_entered entered;
	struct error err;

	CHECK(!pass->gate);
	if (!gate)
		return NULL;
	upload_owner_key(ask->identity, &ask->client, &client);
	entered = ask_gate_enter(gate, buf_str(&client), weight);
	if (entered == ASK_MAY) {
		*pass = (struct front_pass){ gate, check_strdup(buf_text(&client)), weight };
		return NULL;
	}
	if (entered == ASK_CLIENT_HAS_MANY) {
		(void)error_set(&err, ERROR_BUSY, "TOOMANYREQUESTS", "%s", words->client);
		return oci_reply_error(&err);
	}
	(void)error_set(&err, ERROR_BUSY, NULL, "%s", words->all);
	return oci_reply_later(RETRY_S, &err);
}

void front_pass_leave(struct front_pass *pass)
{
	if (pass->gate)
		ask_gate_leave(pass->gate, str_of(pass->client), pass->weight);
	free(pass->client);
	*pass = (struct front_pass){ .gate = NULL };
}
