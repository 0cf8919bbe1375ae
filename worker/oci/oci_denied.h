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
/* 403, whoever asks: the repository's limits are in the way. OCI_REFUSED_HEADER says which (registry_limit_name()). */
#define OCI_REFUSED_HEADER "Zot-Refused"
struct http_response *oci_denied_limit(const struct oci_ask *ask, enum registry_limit limit, const struct error *err);
/* WWW-Authenticate with our realm. Clients look for it in the answer to /v2/, also where that is 200. */
void oci_denied_challenge(const struct oci_ask *ask, struct http_response *response);
