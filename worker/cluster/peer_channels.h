/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_channels - to each peer one lasting connection of a loop, over which the small calls go (common/http_channel.h).
 *
 *     GET <peer>/cluster/channel, signed as any call between workers, with "Upgrade: zot-channel/1"
 *
 *       101, and the answer proves that it is the member (peer_token.h) -> calls go over it until it is lost
 *                                                                         One at a loop of it that has more of our channels than another is opened anew
 *       not reached, not proven                                        -> tried again after PEER_CHANNEL_AGAIN_MS
 *       another answer: it is of a version before, or has none          -> tried again after PEER_CHANNEL_REFUSED_MS
 *
 * Meanwhile, and where a channel is full, calls go over connections of their own, as to a version before. A channel says only how the bytes go: each call
 * over it is signed and judged as if it came on a connection of its own, so a secret that was changed or a ring that moved counts from the next call on.
 * One is opened when the first call wants one. It belongs to a member's name and address; one without calls is closed by the other side.
 *
 * Limits  one channel for each member; those that nobody asked for in PEER_CHANNEL_KEPT_MS are closed when another one is opened.
 * Thread  own loop, but for the counters.
 */
#pragma once

#include <stddef.h>

#include "common/metrics.h"

#define PEER_CHANNEL_PATH       "/cluster/channel"
#define PEER_CHANNEL_AGAIN_MS   1000
#define PEER_CHANNEL_REFUSED_MS 60000
#define PEER_CHANNEL_KEPT_MS    600000

struct channel_spread;
struct cluster;
struct http_channel;
struct http_client;
struct loop;
struct ring_member;
struct snapshot;
struct peer_channels;

/* Any thread looks at them. */
struct peer_channel_counts {
	counter open; /* now: opened less lost */
	counter opened, lost, refused, calls;
};
/* All of it is borrowed until the end. Files towards https members: each may be NULL. */
struct peer_channel_settings {
	struct cluster *cluster;
	struct http_client *client; /* of the loop; freed before the channels' memory */
	struct loop *loop;
	const char *ca_file, *cert_file, *key_file;
	struct peer_channel_counts *counts;
	struct channel_spread *spread; /* of all loops */
};
struct peer_channels *peer_channels_new(const struct peer_channel_settings *settings);
void peer_channels_free(struct peer_channels *channels);
/* The member's, where it takes a call with such a body now, which is counted; NULL: none does. It may be opened for later ones. */
struct http_channel *peer_channels_find(struct peer_channels *channels, const struct snapshot *snapshot, const struct ring_member *member, size_t body_len);
