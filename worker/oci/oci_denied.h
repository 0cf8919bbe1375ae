/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_denied - answers to those who may not, and where one can log in.
 *
 * Thread  any.
 */
#pragma once

#include "common/http_server.h"
#include "worker/oci/oci_ask.h"

/* 401 for the anonymous where there are logins, 403 for everybody else; with the challenge. */
struct http_response *oci_denied_reply(const struct oci_ask *ask, const char *why);
/* WWW-Authenticate with our realm. Clients look for it in the answer to /v2/, also where that is 200. */
void oci_denied_challenge(const struct oci_ask *ask, struct http_response *response);
