/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_pass - the right of a request to ask other members, in its client's name: what ask_gate.h lets through, held until it is given back.
 *
 * Thread  loop.
 */
#pragma once

#include <stddef.h>

struct ask_gate;
struct http_response;
struct oci_ask;

struct front_pass {
	struct ask_gate *gate; /* NULL: it is not held, or nothing is bounded */
	char *client;
	size_t weight;
};
/* What the refused are told: this client, or all of them, ask too much at once. */
struct front_pass_words {
	const char *client, *all;
};
/* NULL: it may, until front_pass_leave(). Else the refusal. The gate may be NULL; the pass is not held. */
struct http_response *front_pass_enter(struct front_pass *pass, struct ask_gate *gate, const struct oci_ask *ask, size_t weight, const struct front_pass_words *words);
void front_pass_leave(struct front_pass *pass); /* one that is not held: nothing */
