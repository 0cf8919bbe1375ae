/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/peer_channels.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/http_channel.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "proto/peer_token.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/channel_spread.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/peer_claims.h"

#define CONNECT_MS 2000

/* What one member has. */
struct entry {
	struct peer_channels *channels;
	char *url, *name;             /* name: as members call it */
	struct http_channel *channel; /* NULL: none */
	int64_t not_before_ms, used_ms;
	bool was_open, refused;
	bool moves;     /* it is to be at another loop of the member (channel_spread.h) */
	bool is_spread; /* and is at this one: */
	unsigned loop, tries;
	char *token; /* of the request for the channel, and what it is signed with */
	uint8_t key[PEER_KEY_BYTES];
	size_t key_len;
};

struct peer_channels {
	struct peer_channel_settings settings;
	struct map *entries; /* by URL */
};

static void entry_free(struct entry *entry)
{
	explicit_bzero(entry->key, sizeof(entry->key));
	free(entry->url);
	free(entry->name);
	free(entry->token);
	free(entry);
}

/* Opening. */

static bool sign(struct entry *entry, const struct snapshot *snapshot, struct str target)
{
	struct cluster *cluster = entry->channels->settings.cluster;
	const struct peer_request request = { .method = STR("GET"), .target = target };
	struct str key = peer_claims_key(cluster, snapshot);
	AUTO_FINI(buf) token = buf_limit(PEER_TOKEN_MAX);
	struct peer_claims claims = peer_claims_of(cluster, snapshot, entry->name);

	if (key.len > sizeof(entry->key))
		return false;
	memcpy(entry->key, key.at, key.len);
	entry->key_len = key.len;
	claims.anonymous = true;
	peer_token_format(key, &request, &claims, &token);
	free(entry->token);
	entry->token = check_strdup(buf_text(&token));
	return !token.failed;
}

/* One of before does not say where it is. */
static bool take_loop(struct entry *entry, const char *said)
{
	unsigned loops;

	entry->is_spread = channel_spread_parse(said, &entry->loop, &loops);
	if (!entry->is_spread || channel_spread_take(entry->channels->settings.spread, entry->url,
					 entry->loop, loops, entry->tries)) {
		entry->tries = 0;
		return true;
	}
	entry->is_spread = false;
	entry->tries++;
	return false;
}

static void give_loop(struct entry *entry)
{
	if (entry->is_spread)
		channel_spread_give(entry->channels->settings.spread, entry->url, entry->loop);
	entry->is_spread = false;
}

/* A version before has no such page, and who is no member cannot sign. */
static bool on_answer(void *arg, unsigned status, const struct http_headers *headers)
{
	struct entry *entry = arg;
	bool proven = peer_answer_is_of(str_from(entry->key, entry->key_len), str_of(entry->token),
		http_headers_find(headers, PEER_ANSWER_HEADER), entry->name);

	if (status != 101) {
		entry->refused = !http_headers_find(headers, PEER_REFUSED_HEADER);
		return false;
	}
	if (!proven)
		return false;
	entry->moves = !take_loop(entry, http_headers_find(headers, CHANNEL_LOOP_HEADER));
	if (entry->moves)
		return false;
	entry->was_open = true;
	counter_add(&entry->channels->settings.counts->opened, 1);
	counter_add(&entry->channels->settings.counts->open, 1);
	log_info("channel.opened", "member=%s url=%s", log_quote(str_of(entry->name)),
		log_quote(str_of(entry->url)));
	return true;
}

static void on_end(void *arg, const struct error *err)
{
	struct entry *entry = arg;
	struct peer_channel_counts *counts = entry->channels->settings.counts;
	const char *event = entry->was_open ? "channel.lost" : "channel.refused";

	entry->channel = NULL;
	give_loop(entry);
	if (entry->moves) {
		entry->not_before_ms = 0;
		return;
	}
	entry->not_before_ms = loop_now(entry->channels->settings.loop) +
			       (entry->refused ? PEER_CHANNEL_REFUSED_MS : PEER_CHANNEL_AGAIN_MS);
	counter_add(entry->was_open ? &counts->lost : &counts->refused, 1);
	if (entry->was_open)
		counter_add(&counts->open, UINT64_MAX);
	log_line(entry->was_open || entry->refused ? LOG_INFO : LOG_DEBUG, event, "member=%s error=%s",
		log_quote(str_of(entry->name)), log_quote(str_of(err->text)));
}

static void open_channel(struct entry *entry, const struct snapshot *snapshot)
{
	const struct peer_channel_settings *settings = &entry->channels->settings;
	AUTO(http_headers) *headers = http_headers_new();
	struct http_channel_spec spec = { .url = entry->url,
		.target = PEER_CHANNEL_PATH,
		.headers = headers,
		.ca_file = settings->ca_file,
		.cert_file = settings->cert_file,
		.key_file = settings->key_file,
		.connect_ms = CONNECT_MS };

	entry->was_open = entry->refused = entry->moves = false;
	entry->not_before_ms = loop_now(settings->loop) + PEER_CHANNEL_AGAIN_MS;
	if (!sign(entry, snapshot, STR(PEER_CHANNEL_PATH)) ||
		!http_headers_add(headers, STR(PEER_HEADER), str_of(entry->token)))
		return;
	entry->channel = http_channel_open(
		settings->client, &spec, (struct http_channel_events){ entry, on_answer, on_end });
}

/* Entries. */

static void close_entry(struct entry *entry)
{
	struct peer_channels *channels = entry->channels;

	if (entry->channel)
		http_channel_close(entry->channel);
	if (entry->channel && entry->was_open)
		counter_add(&channels->settings.counts->open, UINT64_MAX);
	give_loop(entry);
	CHECK(map_delete(channels->entries, str_of(entry->url)) == entry);
	entry_free(entry);
}

/* Members that are no more. */
static void forget_old(struct peer_channels *channels)
{
	int64_t now = loop_now(channels->settings.loop);
	void *value;

	for (size_t at = 0; map_next(channels->entries, &at, NULL, &value);) {
		struct entry *entry = value;
		if (now - entry->used_ms > PEER_CHANNEL_KEPT_MS &&
			!(entry->channel && http_channel_calls(entry->channel)))
			close_entry(entry);
	}
}

static struct entry *find_entry(
	struct peer_channels *channels, const struct ring_member *member, const char *name)
{
	struct entry *entry = map_find(channels->entries, str_of(member->url));

	if (entry && !strcmp(entry->name, name))
		return entry;
	/* Another member has its address now; calls that are under way end first. */
	if (entry && entry->channel && http_channel_calls(entry->channel))
		return NULL;
	if (entry)
		close_entry(entry);
	forget_old(channels);
	entry = xnew(struct entry);
	*entry = (struct entry){
		.channels = channels, .url = check_strdup(member->url), .name = check_strdup(name)
	};
	(void)map_put(channels->entries, str_of(entry->url), entry);
	return entry;
}

struct http_channel *peer_channels_find(struct peer_channels *channels, const struct snapshot *snapshot,
	const struct ring_member *member, size_t body_len)
{
	AUTO_FINI(buf) name = buf_limit(PEER_NAME_MAX + 1);
	struct entry *entry;
	int64_t now;

	if (!channels)
		return NULL;
	loop_assert(channels->settings.loop);
	now = loop_now(channels->settings.loop);
	cluster_name_of(channels->settings.cluster, snapshot, member, &name);
	entry = find_entry(channels, member, buf_text(&name));
	if (!entry)
		return NULL;
	entry->used_ms = now;
	if (!entry->channel && now >= entry->not_before_ms)
		open_channel(entry, snapshot);
	if (!entry->channel || !http_channel_takes(entry->channel, body_len))
		return NULL;
	counter_add(&channels->settings.counts->calls, 1);
	return entry->channel;
}

/* Life. */

struct peer_channels *peer_channels_new(const struct peer_channel_settings *settings)
{
	struct peer_channels *channels = xnew(struct peer_channels);

	channels->settings = *settings;
	channels->entries = map_new();
	return channels;
}

void peer_channels_free(struct peer_channels *channels)
{
	void *value;

	if (!channels)
		return;
	for (size_t at = 0; map_next(channels->entries, &at, NULL, &value);)
		entry_free(value);
	map_free(channels->entries);
	free(channels);
}
