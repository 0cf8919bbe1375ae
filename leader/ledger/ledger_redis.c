/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ledger/ledger_redis.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"

/* Of entities, the oldest first: what a write may forget on its way. */
#define FORGET_MOST 1000

/* Keys. */

struct ledger_redis_key ledger_redis_key(const struct ledger_redis *own, const char *format, ...)
{
	struct ledger_redis_key key;
	int len = snprintf(key.text, sizeof(key.text), "{%s}:", own->prefix);
	va_list args;

	va_start(args, format);
	CHECK(vsnprintf(key.text + len, sizeof(key.text) - (size_t)len, format, args) <
		(int)sizeof(key.text) - len);
	va_end(args);
	return key;
}

struct redis_call *ledger_redis_call(const struct ledger_redis *own, const char *command, const char *key)
{
	struct redis_call *call = redis_call_new(command);

	redis_call_text(call, ledger_redis_key(own, "%s", key).text);
	return call;
}

void ledger_redis_change(const struct ledger_redis *own, struct ledger_redis_effects *effects,
	const char *command, const char *key, size_t words)
{
	ledger_redis_effect(effects, 2 + words);
	ledger_redis_change_text(effects, command);
	ledger_redis_change_text(effects, ledger_redis_key(own, "%s", key).text);
}

void ledger_redis_change_text(struct ledger_redis_effects *effects, const char *text)
{
	ledger_redis_effect_word(effects, str_of(text));
}

void ledger_redis_change_number(struct ledger_redis_effects *effects, uint64_t number)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, number);
	ledger_redis_change_text(effects, text);
}

bool ledger_redis_may_read(const struct ledger_redis *own, struct error *err)
{
	if (own->lost && err)
		*err = own->why;
	return !own->lost;
}

/* Entities. */

struct entity_name {
	char text[ENTITY_ID_MAX + 32];
};

static struct entity_name name_of(const struct entity *entity)
{
	struct entity_name name;

	(void)snprintf(name.text, sizeof(name.text), "%s:%.*s", entity_kind_name(entity_kind(entity)),
		STR_ARGS(entity_id(entity)));
	return name;
}

bool ledger_redis_stored_revision(const struct redis_reply *body, uint64_t *ret, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	AUTO(entity) *entity = NULL;

	if (redis_reply_is_nil(body)) {
		*ret = 0;
		return true;
	}
	if (!pack_parse(redis_reply_str(body), &doc, err) || !entity_decode(pack_root(doc), &entity, err))
		return false;
	*ret = entity_is_deleted(entity) ? 0 : entity_revision(entity);
	return true;
}

static enum ledger_result check_all(struct ledger_redis *own, const struct ledger_change *changes, size_t len,
	uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "HMGET", "entities");
	AUTO(redis_reply) *reply = NULL;
	uint64_t stored;
	bool any = false;

	for (size_t i = 0; i < len; i++) {
		redis_call_text(call, name_of(changes[i].entity).text);
		any |= changes[i].check;
	}
	if (!any)
		return LEDGER_WRITTEN;
	if (!redis_run(own->redis, call, &reply, err))
		return LEDGER_FAILED;
	for (size_t i = 0; i < len; i++) {
		if (!changes[i].check)
			continue;
		if (!ledger_redis_stored_revision(redis_reply_at(reply, i), &stored, err))
			return LEDGER_FAILED;
		if (stored != changes[i].expected) {
			*ret_revision = stored;
			*ret_at = i;
			return LEDGER_STALE;
		}
	}
	return LEDGER_WRITTEN;
}

static bool put_entity(struct ledger_redis *own, struct entity *stamped, struct ledger_redis_effects *effects,
	struct error *err)
{
	AUTO_FINI(buf) body = buf_limit(LEDGER_ENTITY_ROOM);

	if (!ledger_entity_encode(stamped, &body, err))
		return false;
	ledger_redis_change(own, effects, "HSET", "entities", 2);
	ledger_redis_change_text(effects, name_of(stamped).text);
	ledger_redis_effect_word(effects, buf_str(&body));
	return true;
}

static void put_tombstone(
	struct ledger_redis *own, const struct entity *stamped, struct ledger_redis_effects *effects)
{
	bool deleted = entity_is_deleted(stamped);

	ledger_redis_change(own, effects, deleted ? "ZADD" : "ZREM", "tombstones", deleted ? 2 : 1);
	if (deleted)
		ledger_redis_change_number(effects, entity_revision(stamped));
	ledger_redis_change_text(effects, name_of(stamped).text);
}

/* "<owner> <label>": an owner has no blanks. */
static void put_name(
	struct ledger_redis *own, const struct entity *stamped, struct ledger_redis_effects *effects)
{
	AUTO_FINI(buf) name = buf_limit(ENTITY_BYTES_MAX);

	if (entity_kind(stamped) != ENTITY_APIKEY || entity_is_deleted(stamped))
		return;
	buf_format(&name, "%s %s", entity_apikey(stamped)->owner, entity_apikey(stamped)->label);
	ledger_redis_change(own, effects, "HSET", "names", 2);
	ledger_redis_effect_word(effects, entity_id(stamped));
	ledger_redis_effect_word(effects, buf_str(&name));
}

struct pair_name {
	char text[24 + 2 * ENTITY_HASH_BYTES + 1];
};

static struct pair_name pair_name(const struct ledger_pair *pair)
{
	struct pair_name name;
	int len = snprintf(name.text, sizeof(name.text), "%" PRIu64 " ", pair->revision);

	str_hex(pair->digest, sizeof(pair->digest), name.text + len);
	return name;
}

static void put_pair_effect(
	struct ledger_redis *own, const struct ledger_pair *pair, struct ledger_redis_effects *effects)
{
	ledger_redis_change(own, effects, "ZADD", "pairs", 2);
	ledger_redis_change_number(effects, pair->revision);
	ledger_redis_change_text(effects, pair_name(pair).text);
	if (pair->revision <= LEDGER_CHANGES_KEPT)
		return;
	ledger_redis_change(own, effects, "ZREMRANGEBYSCORE", "pairs", 2);
	ledger_redis_change_text(effects, "-inf");
	ledger_redis_change_number(effects, pair->revision - LEDGER_CHANGES_KEPT);
}

bool ledger_redis_put_pair(struct ledger *ledger, const struct ledger_pair *pair, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO(redis_call) *call = ledger_redis_call(own, "ZADD", "pairs");
	AUTO(redis_reply) *reply = NULL;

	redis_call_number(call, pair->revision);
	redis_call_text(call, pair_name(pair).text);
	return ledger_redis_may_read(own, err) && redis_run(own->redis, call, &reply, err);
}

/* Tombstones. */

static void forget_one(struct ledger_redis *own, struct str name, struct ledger_redis_effects *effects)
{
	ledger_redis_change(own, effects, "HDEL", "entities", 1);
	ledger_redis_effect_word(effects, name);
	ledger_redis_change(own, effects, "ZREM", "tombstones", 1);
	ledger_redis_effect_word(effects, name);
}

/* *ret_forgotten: the newest that goes; as it was, where none does. Before the write's own tombstones. */
static bool forget_tombstones(struct ledger_redis *own, uint64_t upto, struct ledger_redis_effects *effects,
	uint64_t *ret_forgotten, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "ZRANGEBYSCORE", "tombstones");
	AUTO(redis_reply) *reply = NULL;
	static const char *const words[] = { "WITHSCORES", "LIMIT", "0" };

	redis_call_text(call, "-inf");
	redis_call_number(call, upto);
	for (size_t i = 0; i < 3; i++)
		redis_call_text(call, words[i]);
	redis_call_number(call, FORGET_MOST);
	if (!redis_run(own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; i + 1 < redis_reply_len(reply); i += 2) {
		forget_one(own, redis_reply_str(redis_reply_at(reply, i)), effects);
		*ret_forgotten = redis_reply_number(redis_reply_at(reply, i + 1));
	}
	return true;
}

static void put_numbers(
	struct ledger_redis *own, uint64_t revision, uint64_t forgotten, struct ledger_redis_effects *effects)
{
	ledger_redis_change(own, effects, "HSET", "head", 4);
	ledger_redis_change_text(effects, "revision");
	ledger_redis_change_number(effects, revision);
	ledger_redis_change_text(effects, "forgotten");
	ledger_redis_change_number(effects, forgotten);
}

void ledger_redis_put_written(struct ledger_redis *own, const struct ledger_pair *pair, uint64_t forgotten,
	struct ledger_redis_effects *effects)
{
	put_pair_effect(own, pair, effects);
	put_numbers(own, pair->revision, forgotten, effects);
}

/* Writing. */

struct writing {
	struct entity **stamped;
	size_t len;
	struct ledger_redis_effects effects;
	uint64_t revision, forgotten;
};

static void writing_fini(struct writing *writing)
{
	for (size_t i = 0; i < writing->len; i++)
		entity_free(writing->stamped[i]);
	free(writing->stamped);
	ledger_redis_effects_fini(&writing->effects);
}

/* Their commands come first: ledger_redis_entry.h. An old tombstone of the same name must not take what is new. */
static bool put_all(
	struct ledger_redis *own, struct writing *w, const struct ledger_pair *pair, struct error *err)
{
	struct ledger_redis_effects late;
	bool ok = true;

	for (size_t i = 0; ok && i < w->len; i++)
		ok = put_entity(own, w->stamped[i], &w->effects, err);
	ledger_redis_effects_init(&late);
	/* One that is forgotten before an older entity of its name is settled would bring that back. */
	if (ok && w->revision > LEDGER_CHANGES_KEPT && !own->import.pieces)
		ok = forget_tombstones(own, w->revision - LEDGER_CHANGES_KEPT, &late, &w->forgotten, err);
	buf_add(&w->effects.commands, buf_str(&late.commands));
	w->effects.len += late.len;
	ledger_redis_effects_fini(&late);
	for (size_t i = 0; ok && i < w->len; i++) {
		put_tombstone(own, w->stamped[i], &w->effects);
		put_name(own, w->stamped[i], &w->effects);
	}
	ledger_redis_put_written(own, pair, w->forgotten, &w->effects);
	return ok;
}

static bool is_newer(
	const struct entity *entity, const struct redis_reply *body, bool *ret, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	AUTO(entity) *there = NULL;

	*ret = redis_reply_is_nil(body);
	if (*ret)
		return true;
	if (!pack_parse(redis_reply_str(body), &doc, err) || !entity_decode(pack_root(doc), &there, err))
		return false;
	*ret = entity_revision(there) < entity_revision(entity);
	return true;
}

/* Those that are newer than what is there stay in the list. */
static bool keep_newer(struct ledger_redis *own, struct entity **at, size_t *len, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "HMGET", "entities");
	AUTO(redis_reply) *reply = NULL;
	size_t kept = 0;
	bool newer;

	for (size_t i = 0; i < *len; i++)
		redis_call_text(call, name_of(at[i]).text);
	if (!redis_run(own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; i < *len; i++) {
		struct entity *entity = at[i];

		if (!is_newer(entity, redis_reply_at(reply, i), &newer, err))
			return false;
		at[i] = at[kept];
		at[kept] = entity;
		kept += newer;
	}
	for (size_t i = kept; i < *len; i++)
		entity_free(at[i]);
	*len = kept;
	return true;
}

bool ledger_redis_put_older(struct ledger_redis *own, struct entity **at, size_t *len,
	struct ledger_redis_effects *effects, struct error *err)
{
	if (*len && !keep_newer(own, at, len, err))
		return false;
	for (size_t i = 0; i < *len; i++)
		if (!put_entity(own, at[i], effects, err))
			return false;
	for (size_t i = 0; i < *len; i++) {
		put_tombstone(own, at[i], effects);
		put_name(own, at[i], effects);
	}
	return true;
}

static bool put_audits(
	struct ledger_redis *own, const struct ledger_change *changes, struct writing *w, struct error *err)
{
	struct ledger_redis_audit audit = { .revision = w->revision };

	for (size_t i = 0; i < w->len; i++)
		if (changes[i].audit &&
			!ledger_redis_add_audit(own, &audit, changes[i].audit, &w->effects, err))
			return false;
	return true;
}

enum ledger_result ledger_redis_write(struct ledger *ledger, const struct ledger_change *changes, size_t len,
	const uint8_t digest[ENTITY_HASH_BYTES], uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_pair pair = { .revision = own->revision + 1 };
	AUTO_FINI(writing)
	w = { .stamped = xnew_array(struct entity *, len + 1),
		.revision = pair.revision,
		.forgotten = own->forgotten };
	struct ledger_entry entry = {
		.revision = w.revision, .digest = digest, .entities = w.stamped, .entities_len = len
	};
	enum ledger_result result;

	ledger_redis_effects_init(&w.effects);
	for (; w.len < len; w.len++)
		w.stamped[w.len] = entity_with_revision(changes[w.len].entity, w.revision);
	memcpy(pair.digest, digest, sizeof(pair.digest));
	if (!ledger_redis_may_read(own, err))
		return LEDGER_FAILED;
	result =
		own->import.pieces ? LEDGER_WRITTEN : check_all(own, changes, len, ret_revision, ret_at, err);
	if (result != LEDGER_WRITTEN)
		return result;
	if (!put_all(own, &w, &pair, err) || !put_audits(own, changes, &w, err))
		return LEDGER_FAILED;
	result = ledger_redis_commit(own, &w.effects, &entry, w.forgotten, err);
	if (result == LEDGER_WRITTEN) {
		own->forgotten = w.forgotten;
		*ret_revision = own->revision = w.revision;
	}
	return result;
}

/* Open. */

static void close_ledger(struct ledger *ledger)
{
	struct ledger_redis *own = ledger_redis_of(ledger);

	ledger_redis_drop_read(own);
	ledger_redis_drop_pending(own);
	ledger_redis_ring_clear(&own->ring);
	redis_free(own->redis);
	redis_free(own->ear);
	lock_fini(&own->lock);
	free(own->leader);
	free(own);
}

static const struct ledger_driver driver = {
	.close = close_ledger,
	.load_entities = ledger_redis_load_entities,
	.load_members = ledger_redis_load_members,
	.load_grants = ledger_redis_load_grants,
	.load_pairs = ledger_redis_load_pairs,
	.put_pair = ledger_redis_put_pair,
	.write = ledger_redis_write,
	.stage_begin = ledger_redis_stage_begin,
	.stage_put = ledger_redis_stage_put,
	.stage_publish = ledger_redis_stage_publish,
	.stage_drop = ledger_redis_stage_drop,
	.is_settled = ledger_redis_is_settled,
	.settle = ledger_redis_settle,
	.load_gone = ledger_redis_load_gone,
	.begin_life = ledger_redis_begin_life,
	.put_heard = ledger_redis_put_heard,
	.boot = ledger_redis_boot,
	.merge_usage = ledger_redis_merge_usage,
	.fold = ledger_redis_fold,
	.put_member = ledger_redis_put_member,
	.delete_member = ledger_redis_delete_member,
	.calls = ledger_redis_calls,
	.list_keys = ledger_redis_list_keys,
	.sum_keys = ledger_redis_sum_keys,
	.list_repositories = ledger_redis_list_repositories,
	.put_audit = ledger_redis_put_audit,
	.expired = ledger_redis_expired,
	.put_expired = ledger_redis_put_expired,
	.list_audit = ledger_redis_list_audit,
	.sweep_audit = ledger_redis_sweep_audit,
	.follow = ledger_redis_follow,
	.shared = ledger_redis_shared,
	.tell = ledger_redis_tell,
	.listen = ledger_redis_listen,
	.rescue = ledger_redis_rescue,
};

/* Of leaders that open an empty one at once one makes it. */
static const char make_head[] =
	"if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('HSET', KEYS[1], 'format', ARGV[1], 'n', '0', "
	"'mark', ARGV[2],"
	" 'revision', '0', 'forgotten', '0', 'cluster', ARGV[3], 'generation', '1', 'bytes', '0') end "
	"return redis.call('HMGET', KEYS[1], 'format', 'n', 'mark', 'revision', 'forgotten', 'cluster', "
	"'generation')";

static struct redis_call *head_call(const struct ledger_redis *own)
{
	struct redis_call *call = redis_call_new("EVAL");
	char mark[LEDGER_REDIS_MARK_SIZE], cluster[HISTORY_CLUSTER_SIZE];

	random_hex(mark, sizeof(mark) / 2);
	random_hex(cluster, sizeof(cluster) / 2);
	redis_call_text(call, make_head);
	redis_call_number(call, 1);
	redis_call_text(call, ledger_redis_key(own, "head").text);
	redis_call_text(call, LEDGER_REDIS_FORMAT);
	redis_call_text(call, mark);
	redis_call_text(call, cluster);
	return call;
}

static bool read_head(struct ledger_redis *own, const struct redis_reply *head, struct error *err)
{
	struct ledger_redis_place place = { .n = redis_reply_number(redis_reply_at(head, 1)) };
	struct str format = redis_reply_str(redis_reply_at(head, 0));

	if (!str_is(format, LEDGER_REDIS_FORMAT))
		return error_set(err, ERROR_INVALID, NULL,
			"%s in Redis is of format \"%.*s\", this zot-leader, " ZOT_VERSION
			", knows " LEDGER_REDIS_FORMAT ": start a newer one, or name another prefix",
			ledger_redis_key(own, "head").text, (int)(format.len < 16 ? format.len : 16),
			format.at ? format.at : "");
	own->revision = redis_reply_number(redis_reply_at(head, 3));
	own->forgotten = redis_reply_number(redis_reply_at(head, 4));
	if (!str_copy(redis_reply_str(redis_reply_at(head, 2)), place.mark, sizeof(place.mark)) ||
		!history_set(&own->history, redis_reply_str(redis_reply_at(head, 5)),
			redis_reply_number(redis_reply_at(head, 6))))
		return error_set(err, ERROR_INVALID, NULL, "%s in Redis is damaged",
			ledger_redis_key(own, "head").text);
	ledger_redis_set_place(own, &place);
	return true;
}

bool ledger_redis_open_head(struct ledger_redis *own, struct error *err)
{
	AUTO(redis_call) *call = head_call(own);
	AUTO(redis_reply) *head = NULL;

	return redis_run(own->redis, call, &head, err) && read_head(own, head, err);
}

/* Somebody has stored something there. */
static bool check_exists(struct ledger_redis *own, struct error *err)
{
	struct ledger_redis_place head;

	if (!ledger_redis_head(own, &head, err))
		return false;
	return head.n || error_set(err, ERROR_UNKNOWN, NULL, "Redis at %s has nothing under \"%s\"",
				 redis_where(own->redis), own->prefix);
}

static bool is_prefix(struct str prefix)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	for (size_t i = 0; i < prefix.len; i++)
		if (!prefix.at[i] || !strchr(allowed, prefix.at[i]))
			return false;
	return prefix.len > 0;
}

static bool open_connections(
	struct ledger_redis *own, const struct ledger_redis_settings *settings, struct error *err)
{
	const struct redis_login sentinels = { settings->sentinel_user, settings->sentinel_password };
	char name[64];

	(void)snprintf(name, sizeof(name), "zot-leader-%.40s", settings->leader);
	return redis_new(&own->redis, settings->url, &sentinels, name, err) &&
	       redis_new(&own->ear, settings->url, &sentinels, name, err);
}

bool ledger_redis_connect(
	struct ledger_redis **ret, const struct ledger_redis_settings *settings, struct error *err)
{
	struct ledger_redis *own = xnew(struct ledger_redis);
	bool ok;

	own->ledger.driver = &driver;
	lock_init(&own->lock);
	own->leader = check_strdup(settings->leader);
	own->join_ms = settings->join_ms ? settings->join_ms : LEDGER_JOIN_MS;
	ok = (is_prefix(str_of(settings->prefix)) &&
		     str_copy(str_of(settings->prefix), own->prefix, sizeof(own->prefix))) ||
	     error_set(err, ERROR_INVALID, NULL, "a prefix of keys has 1 to 63 of A-Z a-z 0-9 . _ -");
	ok = ok && open_connections(own, settings, err) && ledger_redis_check_server(own, err) &&
	     (!settings->must_exist || check_exists(own, err));
	if (ok)
		*ret = own;
	else
		close_ledger(&own->ledger);
	return ok;
}

bool ledger_open_redis(
	struct ledger **ret_ledger, const struct ledger_redis_settings *settings, struct error *err)
{
	struct ledger_redis *own = NULL;

	if (!ledger_redis_connect(&own, settings, err))
		return false;
	if (!ledger_redis_open_head(own, err) || !ledger_redis_start_ear(own, err)) {
		close_ledger(&own->ledger);
		return false;
	}
	ledger_redis_prune(own);
	*ret_ledger = &own->ledger;
	return true;
}
