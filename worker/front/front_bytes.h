/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_bytes - the bytes of a call to which a quota of bytes applies: none of them moves before it is taken out of a grant.
 *
 *     the body it sends   what Content-Length says is taken with the call (step ADMIT), else each part as it comes
 *     the reply's body    when the reply is about to begin
 *
 * What waits for a grant holds up the request alone; where nothing is left it is answered 429, in the middle of its body too.
 * A 429's own body is nobody's.
 * Thread  the call's loop.
 */
#pragma once

#include <stdint.h>

struct admission_ask;
struct admission_info;
struct front_call;
struct http_response;

/* Before it is admitted, each time that is asked: says in `ask` what is to be taken. Nothing where no quota applies. */
void front_bytes_begin(struct front_call *call, struct admission_ask *ask);
/* In on_done, before the call is freed: what did not flow is given back. *bytes_out becomes what counts. Returns how many
 * bytes were part of a grant of the call's key. */
uint64_t front_bytes_end(struct front_call *call, uint64_t bytes_in, uint64_t *bytes_out);

/* 429 with the reason and a pause; counts it. */
struct http_response *front_refusal(struct front_call *call, const struct admission_info *info);
