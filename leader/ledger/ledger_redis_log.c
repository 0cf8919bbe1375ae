/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_log - how an entry gets into the log, and how the entries of others are followed.
 */
#include "leader/ledger/ledger_redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"

#define READ_MOST 200
/* How often the place is looked for again, where several leaders store at once. */
#define TRIES 100
/* The other leaders have so long to store what they have more of, before anything new is. */
#define PATIENCE_MS 2000

/*
 * KEYS: head, log, words. ARGV: n and mark of the entry before, n and mark of this one, by, content, effects, most entries, most bytes,
 * "1": who joins. The first write is refused where the memory is full or the server takes no writes, and then nothing was done.
 */
static const char script[] =
	"local head = redis.call('HMGET', KEYS[1], 'n', 'mark', 'bytes') "
	"if head[1] ~= ARGV[1] or head[2] ~= ARGV[2] then return 0 end "
	"local bytes = string.format('%.0f', tonumber(head[3] or '0') + #ARGV[6] + #ARGV[7] + 200) "
	"redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[8], ARGV[3] .. '-0', 'mark', ARGV[4], 'before', "
	"ARGV[2],"
	" 'by', ARGV[5], 'content', ARGV[6], 'effects', ARGV[7], 'b', bytes) "
	"for _, command in ipairs(cmsgpack.unpack(ARGV[7])) do redis.call(unpack(command)) end "
	"redis.call('HSET', KEYS[1], 'n', ARGV[3], 'mark', ARGV[4], 'bytes', bytes) "
	"for i = 1, 8 do "
	" local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1) "
	" if #oldest == 0 or tonumber(bytes) - tonumber(oldest[1][2][12]) < tonumber(ARGV[9]) then break end "
	" redis.call('XDEL', KEYS[2], oldest[1][1]) "
	"end "
	"if ARGV[10] == '1' then redis.call('XADD', KEYS[3], 'MAXLEN', '~', '2000', '*', 'by', ARGV[5], 'n', "
	"ARGV[3], 'j', '1') "
	"else redis.call('XADD', KEYS[3], 'MAXLEN', '~', '2000', '*', 'by', ARGV[5], 'n', ARGV[3]) end "
	"return 1";

/* Places. */

struct ledger_redis_place ledger_redis_place(struct ledger_redis *own)
{
	struct ledger_redis_place place;

	lock_take(&own->lock);
	place = own->place;
	lock_drop(&own->lock);
	return place;
}

void ledger_redis_set_place(struct ledger_redis *own, const struct ledger_redis_place *place)
{
	lock_take(&own->lock);
	own->place = *place;
	lock_drop(&own->lock);
}

static bool same_place(const struct ledger_redis_place *a, const struct ledger_redis_place *b)
{
	return a->n == b->n && strcmp(a->mark, b->mark) == 0;
}

bool ledger_redis_head(struct ledger_redis *own, struct ledger_redis_place *ret, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "HMGET", "head");
	AUTO(redis_reply) *reply = NULL;
	struct ledger_redis_place place = { 0 };

	redis_call_text(call, "n");
	redis_call_text(call, "mark");
	if (!redis_run(own->redis, call, &reply, err))
		return false;
	place.n = redis_reply_number(redis_reply_at(reply, 0));
	if (!redis_reply_is_nil(redis_reply_at(reply, 1)) &&
		!str_copy(redis_reply_str(redis_reply_at(reply, 1)), place.mark, sizeof(place.mark)))
		return error_set(err, ERROR_INVALID, NULL, "%s in Redis is none of ours",
			ledger_redis_key(own, "head").text);
	*ret = place;
	return true;
}

/* The ring. */

void ledger_redis_raw_fini(struct ledger_redis_raw *raw)
{
	free(raw->by);
	free((void *)(uintptr_t)raw->content.at);
	free((void *)(uintptr_t)raw->effects.at);
	*raw = (struct ledger_redis_raw){ 0 };
}

static size_t raw_bytes(const struct ledger_redis_raw *raw)
{
	return sizeof(*raw) + strlen(raw->by) + raw->content.len + raw->effects.len;
}

static void ring_drop_first(struct ledger_redis_ring *ring)
{
	ring->bytes -= raw_bytes(&ring->at[ring->first]);
	ledger_redis_raw_fini(&ring->at[ring->first]);
	ring->first = (ring->first + 1) % LEDGER_REDIS_RING_MOST;
	ring->len--;
}

void ledger_redis_ring_put(struct ledger_redis_ring *ring, struct ledger_redis_raw *raw)
{
	const struct ledger_redis_raw *newest =
		ring->len ? &ring->at[(ring->first + ring->len - 1) % LEDGER_REDIS_RING_MOST] : NULL;

	if (newest && newest->place.n + 1 != raw->place.n)
		ledger_redis_ring_clear(ring);
	if (!ring->at)
		ring->at = xnew_array(struct ledger_redis_raw, LEDGER_REDIS_RING_MOST);
	ring->bytes += raw_bytes(raw);
	while (ring->len && (ring->len == LEDGER_REDIS_RING_MOST || ring->bytes > LEDGER_REDIS_RING_BYTES))
		ring_drop_first(ring);
	ring->at[(ring->first + ring->len++) % LEDGER_REDIS_RING_MOST] = *raw;
	*raw = (struct ledger_redis_raw){ 0 };
}

const struct ledger_redis_raw *ledger_redis_ring_find(const struct ledger_redis_ring *ring, uint64_t n)
{
	uint64_t first = ring->len ? ring->at[ring->first].place.n : 0;

	if (!ring->len || n < first || n - first >= ring->len)
		return NULL;
	return &ring->at[(ring->first + (n - first)) % LEDGER_REDIS_RING_MOST];
}

void ledger_redis_ring_clear(struct ledger_redis_ring *ring)
{
	while (ring->len)
		ring_drop_first(ring);
	free(ring->at);
	*ring = (struct ledger_redis_ring){ 0 };
}

/* Storing. */

static bool load_script(struct ledger_redis *own, struct error *err)
{
	AUTO(redis_call) *call = redis_call_new("SCRIPT");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, "LOAD");
	redis_call_text(call, script);
	if (!redis_run(own->redis, call, &reply, err))
		return false;
	return str_copy(redis_reply_str(reply), own->script, sizeof(own->script)) ||
	       error_set(err, ERROR_INVALID, NULL, "Redis at %s loads no scripts", redis_where(own->redis));
}

static struct redis_call *call_of(
	const struct ledger_redis *own, const struct ledger_redis_raw *raw, bool joins)
{
	struct redis_call *call = redis_call_new("EVALSHA");

	redis_call_text(call, own->script);
	redis_call_number(call, 3);
	redis_call_text(call, ledger_redis_key(own, "head").text);
	redis_call_text(call, ledger_redis_key(own, "log").text);
	redis_call_text(call, ledger_redis_key(own, "words").text);
	redis_call_number(call, raw->place.n - 1);
	redis_call_text(call, raw->before);
	redis_call_number(call, raw->place.n);
	redis_call_text(call, raw->place.mark);
	redis_call_text(call, raw->by);
	redis_call_str(call, raw->content);
	redis_call_str(call, raw->effects);
	redis_call_number(call, LEDGER_REDIS_LOG_MOST);
	redis_call_number(call, LEDGER_REDIS_LOG_BYTES);
	redis_call_text(call, joins ? "1" : "0");
	return call;
}

static bool run_script(struct ledger_redis *own, const struct ledger_redis_raw *raw, bool joins,
	bool *ret_stored, struct error *err)
{
	for (unsigned tries = 0; tries < 2; tries++) {
		AUTO(redis_call) *call = NULL;
		AUTO(redis_reply) *reply = NULL;
		struct error why;

		if (!*own->script && !load_script(own, err))
			return false;
		call = call_of(own, raw, joins);
		if (redis_run(own->redis, call, &reply, &why)) {
			*ret_stored = redis_reply_number(reply) == 1;
			return true;
		}
		(void)error_set(err, why.kind, NULL, "%s", why.text);
		if (why.kind != ERROR_UNKNOWN)
			break;
		own->script[0] = '\0';
	}
	if (redis_lost_answer(own->redis)) {
		(void)error_add(err, "the outcome is unknown");
		err->code = LEDGER_OUTCOME_UNKNOWN;
	}
	return false;
}

static bool make_raw(const struct ledger_redis *own, const struct ledger_redis_place *before,
	const struct ledger_redis_effects *effects, struct str content, struct ledger_redis_raw *ret,
	struct error *err)
{
	AUTO_FINI(buf) commands = buf_limit(LEDGER_REDIS_ENTRY_MAX);
	struct ledger_redis_raw raw = { .place.n = before->n + 1 };

	ledger_redis_effects_encode(effects, &commands);
	if (!buf_check(&commands, "an entry of the log", err))
		return false;
	random_hex(raw.place.mark, sizeof(raw.place.mark) / 2);
	memcpy(raw.before, before->mark, sizeof(raw.before));
	raw.by = check_strdup(own->leader);
	raw.content = str_from(check_strndup(content.at, content.len), content.len);
	raw.effects.at = buf_take(&commands, &raw.effects.len);
	*ret = raw;
	return true;
}

static enum ledger_result store(struct ledger_redis *own, const struct ledger_redis_place *before,
	const struct ledger_redis_effects *effects, const struct ledger_entry *entry, uint64_t forgotten,
	struct ledger_redis_raw *ret, struct error *err)
{
	AUTO_FINI(buf) content = buf_limit(LEDGER_REDIS_ENTRY_MAX);
	struct ledger_redis_raw raw;
	bool stored = false;

	ledger_redis_content_encode(entry, forgotten, &content);
	if (!buf_check(&content, "an entry of the log", err) ||
		!make_raw(own, before, effects, buf_str(&content), &raw, err))
		return LEDGER_FAILED;
	if (!run_script(own, &raw, entry->joins, &stored, err)) {
		ledger_redis_raw_fini(&raw);
		return LEDGER_FAILED;
	}
	if (stored)
		*ret = raw;
	else
		ledger_redis_raw_fini(&raw);
	return stored ? LEDGER_WRITTEN : LEDGER_BEHIND;
}

static void take_in(struct ledger_redis *own, struct ledger_redis_raw *raw)
{
	ledger_redis_drop_read(own);
	ledger_redis_set_place(own, &raw->place);
	ledger_redis_ring_put(&own->ring, raw);
}

enum ledger_result ledger_redis_append(struct ledger_redis *own, const struct ledger_redis_place *before,
	const struct ledger_redis_effects *effects, const struct ledger_entry *entry,
	struct ledger_redis_place *ret_place, struct error *err)
{
	struct ledger_redis_raw raw = { 0 };
	enum ledger_result result = store(own, before, effects, entry, 0, &raw, err);

	if (result != LEDGER_WRITTEN)
		return result;
	*ret_place = raw.place;
	if (same_place(before, &own->place))
		take_in(own, &raw);
	ledger_redis_raw_fini(&raw);
	return result;
}

static bool may_write(const struct ledger_redis *own, struct error *err)
{
	int64_t left = own->patience_ms - clock_ms();

	if (!ledger_redis_may_read(own, err))
		return false;
	return left <= 0 || error_set(err, ERROR_UNAVAILABLE, NULL,
				    "Redis at %s went back: nothing is stored for %" PRId64
				    " ms, so that every leader can store again what it has",
				    redis_where(own->redis), left);
}

enum ledger_result ledger_redis_commit(struct ledger_redis *own, const struct ledger_redis_effects *effects,
	const struct ledger_entry *entry, uint64_t forgotten, struct error *err)
{
	struct ledger_redis_raw raw = { 0 };
	enum ledger_result result;

	if (!may_write(own, err))
		return LEDGER_FAILED;
	result = store(own, &own->place, effects, entry, forgotten, &raw, err);
	if (result == LEDGER_WRITTEN)
		take_in(own, &raw);
	if (result == LEDGER_BEHIND)
		(void)error_set(err, ERROR_CONFLICT, NULL,
			"another leader has stored something meanwhile: try again");
	return result;
}

bool ledger_redis_commit_plain(struct ledger_redis *own, const struct ledger_redis_effects *effects,
	const struct ledger_entry *entry, struct error *err)
{
	return ledger_redis_commit(own, effects, entry, 0, err) == LEDGER_WRITTEN;
}

/* Reading. */

static char *field(const struct redis_reply *fields, const char *name, size_t *ret_len)
{
	for (size_t i = 0; i + 1 < redis_reply_len(fields); i += 2) {
		struct str value = redis_reply_str(redis_reply_at(fields, i + 1));

		if (!str_is(redis_reply_str(redis_reply_at(fields, i)), name) || !value.at)
			continue;
		*ret_len = value.len;
		return check_strndup(value.at, value.len);
	}
	return NULL;
}

static bool field_mark(const struct redis_reply *fields, const char *name, char into[LEDGER_REDIS_MARK_SIZE])
{
	size_t len;
	AUTO_STR *mark = field(fields, name, &len);

	return mark && str_copy(str_from(mark, len), into, LEDGER_REDIS_MARK_SIZE);
}

static bool parse_raw(const struct redis_reply *entry, struct ledger_redis_raw *raw)
{
	const struct redis_reply *fields = redis_reply_at(entry, 1);
	struct str id = redis_reply_str(redis_reply_at(entry, 0)), n;
	size_t len;

	raw->by = field(fields, "by", &len);
	raw->content.at = field(fields, "content", &raw->content.len);
	raw->effects.at = field(fields, "effects", &raw->effects.len);
	return raw->by && raw->content.at && raw->effects.at && str_until(&id, '-', &n) &&
	       str_to_number(n, INT64_MAX, &raw->place.n) && field_mark(fields, "mark", raw->place.mark) &&
	       field_mark(fields, "before", raw->before);
}

static struct redis_call *range_of(const struct ledger_redis *own, uint64_t after)
{
	struct redis_call *call = ledger_redis_call(own, "XRANGE", "log");

	redis_call_number(call, after + 1);
	redis_call_text(call, "+");
	redis_call_text(call, "COUNT");
	redis_call_number(call, READ_MOST);
	return call;
}

bool ledger_redis_read(struct ledger_redis *own, uint64_t after, ledger_redis_raw_f *fn, void *arg,
	bool *ret_more, struct error *err)
{
	AUTO(redis_call) *call = range_of(own, after);
	AUTO(redis_reply) *reply = NULL;
	bool ok = true;

	if (!redis_run(own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; ok && i < redis_reply_len(reply); i++) {
		struct ledger_redis_raw raw = { 0 };

		ok = parse_raw(redis_reply_at(reply, i), &raw) ||
		     error_set(err, ERROR_INVALID, NULL, "an entry of %s in Redis is none of ours",
			     ledger_redis_key(own, "log").text);
		ok = ok && fn(arg, &raw, err);
		ledger_redis_raw_fini(&raw);
	}
	if (ok)
		*ret_more = redis_reply_len(reply) == READ_MOST;
	return ok;
}

/* Following. */

struct following {
	struct ledger_redis *own;
	ledger_entry_f *fn;
	void *arg;
};

static bool loses(struct ledger_redis *own, const struct ledger_redis_place *found, struct error *err)
{
	own->lost = true;
	atomic_store(&own->seen.lost, true);
	(void)error_set(&own->why, ERROR_UNAVAILABLE, NULL,
		"Redis at %s went back: its newest entry is %" PRIu64 " (%s), this leader has %" PRIu64
		" (%s). Put back its newest data and restart, or restore from a leader, a backup or a worker",
		redis_where(own->redis), found->n, *found->mark ? found->mark : "nothing is there",
		own->place.n, own->place.mark);
	log_error("store.rewound", "error=%s", log_quote(str_of(own->why.text)));
	return ledger_redis_may_read(own, err);
}

/* The others stored more than the log keeps while this leader stood still. */
static bool falls_behind(struct ledger_redis *own, uint64_t upto, struct error *err)
{
	atomic_store(&own->seen.behind, true);
	return error_set(err, ERROR_UNAVAILABLE, NULL,
		"this leader has entry %" PRIu64 " of the log in Redis, and those up to %" PRIu64
		" are gone: all is to be loaded anew",
		own->place.n, upto);
}

/* What an entry says about the ledger itself. */
static void note_content(struct ledger_redis *own, const struct ledger_redis_content *content)
{
	const struct ledger_entry *entry = &content->entry;

	if (entry->revision)
		own->revision = entry->revision;
	if (content->forgotten)
		own->forgotten = content->forgotten;
	if (entry->life)
		own->life = *entry->life;
	if (entry->dealings)
		own->life.dealings = entry->dealings;
}

static void tell_entry(
	const struct following *f, const struct ledger_redis_raw *raw, struct ledger_redis_content *content)
{
	struct ledger_redis *own = f->own;
	struct ledger_entry published;

	if (raw->place.n == own->joined || raw->place.n == own->began)
		return;
	if (raw->place.n <= own->grants_upto)
		content->merge.grants_len = 0;
	content->entry.by = raw->by;
	if (content->entry.staging.what != LEDGER_STAGE_PUBLISHED) {
		f->fn(f->arg, &content->entry);
		return;
	}
	published = content->entry;
	published.entities = own->pending.at;
	published.entities_len = own->pending.len;
	f->fn(f->arg, &published);
	ledger_redis_drop_pending(own);
}

static bool follow_one(void *arg, struct ledger_redis_raw *raw, struct error *err)
{
	const struct following *f = arg;
	struct ledger_redis *own = f->own;
	struct ledger_redis_content content;

	if (raw->place.n != own->place.n + 1)
		return falls_behind(own, raw->place.n - 1, err);
	if (strcmp(raw->before, own->place.mark) != 0)
		return loses(own, &raw->place, err);
	if (!ledger_redis_content_decode(raw->content, raw->effects, &content, err))
		return error_add(err, "entry %" PRIu64, raw->place.n);
	if (!ledger_redis_follow_staging(own, &content.entry.staging, raw->effects, err)) {
		ledger_redis_content_fini(&content);
		return error_add(err, "entry %" PRIu64, raw->place.n);
	}
	note_content(own, &content);
	tell_entry(f, raw, &content);
	ledger_redis_content_fini(&content);
	take_in(own, raw);
	return true;
}

static bool follow_on(struct following *f, const struct ledger_redis_place *head, struct error *err)
{
	uint64_t before = f->own->place.n;
	bool more = true;

	while (more)
		if (!ledger_redis_read(f->own, f->own->place.n, follow_one, f, &more, err))
			return false;
	return f->own->place.n > before || falls_behind(f->own, head->n, err);
}

/* Going back. */

static bool store_again(struct ledger_redis *own, const struct ledger_redis_place *head, struct error *err)
{
	const struct ledger_redis_raw *raw = ledger_redis_ring_find(&own->ring, head->n + 1);
	uint64_t n = head->n;
	bool stored = true;

	if (!raw || strcmp(raw->before, head->mark) != 0)
		return loses(own, head, err);
	own->patience_ms = clock_ms() + PATIENCE_MS;
	for (; stored && raw; raw = ledger_redis_ring_find(&own->ring, n + 1)) {
		if (!run_script(own, raw, false, &stored, err))
			return false;
		n += stored;
	}
	atomic_fetch_add(&own->seen.replays, 1);
	atomic_fetch_add(&own->seen.replayed, n - head->n);
	log_warn("store.replayed", "entries=%" PRIu64 " from=%" PRIu64 " redis=%s", n - head->n, head->n + 1,
		redis_where(own->redis));
	return true;
}

struct ledger_shared ledger_redis_shared(const struct ledger *ledger)
{
	const struct ledger_redis_seen *seen = &((const struct ledger_redis *)ledger)->seen;

	return (struct ledger_shared){ .lost = atomic_load(&seen->lost),
		.behind = atomic_load(&seen->behind),
		.replays = atomic_load(&seen->replays),
		.replayed = atomic_load(&seen->replayed) };
}

bool ledger_redis_follow(struct ledger *ledger, ledger_entry_f *fn, void *arg, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct following following = { own, fn, arg };

	for (unsigned tries = 0; tries < TRIES; tries++) {
		struct ledger_redis_place head;
		bool ok;

		if (!ledger_redis_may_read(own, err) || !ledger_redis_head(own, &head, err))
			return false;
		if (same_place(&head, &own->place))
			return true;
		ok = head.n > own->place.n ? follow_on(&following, &head, err) : store_again(own, &head, err);
		if (!ok)
			return false;
	}
	return error_set(err, ERROR_BUSY, NULL, "other leaders store more than this one can follow");
}
