/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self_address - who are we: our name, the URL by which peers reach us, our place among static members.
 *
 * Thread  start-up (names may be looked up).
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"
#include "worker/cluster/member_settings.h"

/* CLUSTER_WORKER_NAME, else zot-worker-$INSTANCE_NUMBER, else <host name>-<port>. */
void self_name(const struct member_settings *settings, uint16_t port, struct buf *into);
/* CLUSTER_SELF_ADDRESS completed by scheme and port; else the address that we listen on, if that is one; else the first address
 * that is not loopback; else 127.0.0.1. */
void self_url(const struct member_settings *settings, uint16_t port, struct buf *into);
/* zot's rule: the first member whose host has an address of this machine and whose port is ours. */
bool self_among(const struct setting_list *members, uint16_t port, size_t *ret_place, struct error *err) MUST_CHECK;
