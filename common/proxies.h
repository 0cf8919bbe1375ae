/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxies - who the client is when load balancers that we trust stand in front of us.
 *
 * X-Forwarded-For is believed from trusted addresses alone, and from its end on: each proxy adds
 * whom it was talking to, so the last address that is not a trusted proxy's is the client; whatever
 * stands before it is the client's own claim. An item that is no address ends the search at the
 * proxy that sent it. At most 32 items are looked at, and 256 networks can be trusted.
 * Thread  any; immutable.
 */
#pragma once

#include "common/ip.h"

#define PROXIES_MAX 256

struct proxies;
bool proxies_new(struct proxies **ret_proxies, const char *const *networks, size_t len, struct error *err) MUST_CHECK;
void proxies_free(struct proxies *proxies);
AUTO_DEFINE(proxies)

bool proxies_has(const struct proxies *proxies, const struct ip *ip); /* NULL trusts nobody */
/* peer: who is connected to us. forwarded: all lines of X-Forwarded-For in their order, a comma between. */
struct ip proxies_client(const struct proxies *proxies, const struct ip *peer, struct str forwarded);
