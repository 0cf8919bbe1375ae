/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self - what users do for themselves at a worker, which asks with its own credential and names the user: what is looked at whatever it is.
 *
 * Thread  pool.
 */
#pragma once

#include "leader/leader.h"

struct http_response;

/* NULL: a user who may. what: "API keys", in what is told. */
struct http_response *self_refuse_user(const struct state *state, struct str name, const char *what);
/* Before each change, of which it is one. NULL: this user may change something now. */
struct http_response *self_refuse_often(struct leader *leader, struct str user, const char *what);
