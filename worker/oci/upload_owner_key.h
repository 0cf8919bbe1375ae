/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_owner_key - whose an upload session is (registry/upload_owners.h).
 *
 * An owner is an API key, else a user, else (the anonymous) a client address; a v6 client is its /64. Where a peer forwarded the
 * request it is the client that the peer speaks for.
 * Thread  any; pure.
 */
#pragma once

#include "common/buf.h"
#include "common/ip.h"

struct identity;

#define UPLOAD_OWNER_KEY_MAX 300
/* Its text: two clients with the same one are the same owner. */
void upload_owner_key(const struct identity *identity, const struct ip *client, struct buf *into);
