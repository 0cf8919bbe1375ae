/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_lives - who is there: lives, and the words that leaders tell each other.
 *
 * A leader that comes stores that it joins, whatever else is stored, and waits for a word of another one; each entry has its word too. Where
 * none comes it begins a life, if nobody but those who join has stored anything since.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "leader/ledger/ledger_redis.h"

#define TRIES 100
/* Words that are kept, and how many bytes of large ones. */
#define WORDS_MOST  2000
#define WORDS_BYTES (64u * 1024 * 1024)
#define WORDS_READ  50

/* Words as they are read. */

struct word {
	struct str by, text;
	uint64_t n;
	bool joins, has_text;
};

static struct word word_of(const struct redis_reply *entry)
{
	const struct redis_reply *fields = redis_reply_at(entry, 1);
	struct word word = { 0 };

	for (size_t i = 0; i + 1 < redis_reply_len(fields); i += 2) {
		struct str name = redis_reply_str(redis_reply_at(fields, i));
		const struct redis_reply *value = redis_reply_at(fields, i + 1);

		if (str_is(name, "by"))
			word.by = redis_reply_str(value);
		else if (str_is(name, "n"))
			word.n = redis_reply_number(value);
		else if (str_is(name, "j"))
			word.joins = true;
		else if (str_is(name, "w"))
			word.text = redis_reply_str(value), word.has_text = true;
	}
	return word;
}

static bool is_own(const struct ledger_redis *own, const struct word *word)
{
	return str_is(word->by, own->leader);
}

#define WORD_ID_SIZE 48
static bool newest_word(
	struct ledger_redis *own, struct redis *redis, char into[WORD_ID_SIZE], struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "XREVRANGE", "words");
	AUTO(redis_reply) *reply = NULL;
	struct str id = STR("0-0");

	redis_call_text(call, "+");
	redis_call_text(call, "-");
	redis_call_text(call, "COUNT");
	redis_call_number(call, 1);
	if (!redis_run(redis, call, &reply, err))
		return false;
	if (redis_reply_len(reply))
		id = redis_reply_str(redis_reply_at(redis_reply_at(reply, 0), 0));
	return str_copy(id, into, WORD_ID_SIZE) ||
	       error_set(err, ERROR_INVALID, NULL, "a word in Redis has no id");
}

/* An empty reply: none came. */
static bool read_words(struct ledger_redis *own, struct redis *redis, const char *after, int64_t wait_ms,
	struct redis_reply **ret, struct error *err)
{
	AUTO(redis_call) *call = redis_call_new("XREAD");

	redis_call_text(call, "COUNT");
	redis_call_number(call, WORDS_READ);
	if (wait_ms > 0) {
		redis_call_text(call, "BLOCK");
		redis_call_number(call, (uint64_t)wait_ms);
	}
	redis_call_text(call, "STREAMS");
	redis_call_text(call, ledger_redis_key(own, "words").text);
	redis_call_text(call, after);
	return redis_run_waiting(redis, call, wait_ms, ret, err);
}

static const struct redis_reply *words_in(const struct redis_reply *reply)
{
	return redis_reply_at(redis_reply_at(reply, 0), 1);
}

/* Lives. */

static bool parse_life(struct str text, struct ledger_life *ret)
{
	struct ledger_life life = { 0 };
	struct str id, dealings;

	if (!str_until(&text, ' ', &id) || !str_until(&text, ' ', &dealings) ||
		!str_copy(id, life.id, sizeof(life.id)) ||
		!str_to_number(dealings, INT64_MAX, &life.dealings))
		return false;
	life.heard = str_is(text, "1");
	*ret = life;
	return true;
}

void ledger_redis_put_life(
	const struct ledger_redis *own, struct ledger_redis_effects *effects, const struct ledger_life *life)
{
	char text[64];

	if (!*life->id)
		return;
	(void)snprintf(text, sizeof(text), "%s %" PRIu64 " %d", life->id, life->dealings, life->heard);
	ledger_redis_change(own, effects, "LSET", "lives", 2);
	ledger_redis_change_text(effects, "-1");
	ledger_redis_change_text(effects, text);
}

static void add_life(
	const struct ledger_redis *own, struct ledger_redis_effects *effects, const struct ledger_life *life)
{
	ledger_redis_change(own, effects, "RPUSH", "lives", 1);
	ledger_redis_change_text(effects, "");
	ledger_redis_put_life(own, effects, life);
	ledger_redis_change(own, effects, "LTRIM", "lives", 2);
	ledger_redis_effect_word(effects, STR("-65"));
	ledger_redis_effect_word(effects, STR("-1"));
}
_Static_assert(LEDGER_LIVES_KEPT + 1 == 65, "LTRIM");

/* *ret_last: its id is "" where there is none. */
static bool each_life(struct ledger_redis *own, ledger_life_f *fn, void *arg, struct ledger_life *ret_last,
	struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "LRANGE", "lives");
	AUTO(redis_reply) *reply = NULL;
	struct ledger_life life = { 0 };
	bool more = true;

	redis_call_text(call, "0");
	redis_call_text(call, "-1");
	if (!redis_run(own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; i < redis_reply_len(reply); i++)
		if (parse_life(redis_reply_str(redis_reply_at(reply, i)), &life) && more && fn)
			more = fn(arg, &life);
	*ret_last = life;
	return true;
}

/* Who is there? */

struct present {
	const struct ledger_redis *own;
	bool others;
};

static bool look_at_entry(void *arg, struct ledger_redis_raw *raw, struct error *err)
{
	struct present *present = arg;
	struct ledger_redis_content content;

	if (!ledger_redis_content_decode(raw->content, raw->effects, &content, err))
		return false;
	present->others |= !content.entry.joins && strcmp(raw->by, present->own->leader) != 0;
	ledger_redis_content_fini(&content);
	return true;
}

static bool entries_of_others(struct ledger_redis *own, uint64_t after, bool *ret, struct error *err)
{
	struct present present = { .own = own };
	bool more = true;

	while (more) {
		struct ledger_redis_place head;

		if (!ledger_redis_read(own, after, look_at_entry, &present, &more, err) ||
			!ledger_redis_head(own, &head, err))
			return false;
		after = head.n;
	}
	*ret = present.others;
	return true;
}

static bool words_of_others(
	const struct ledger_redis *own, const struct redis_reply *words, char after[WORD_ID_SIZE])
{
	for (size_t i = 0; i < redis_reply_len(words); i++) {
		struct word word = word_of(redis_reply_at(words, i));

		if (!word.joins && !is_own(own, &word))
			return true;
		(void)!str_copy(
			redis_reply_str(redis_reply_at(redis_reply_at(words, i), 0)), after, WORD_ID_SIZE);
	}
	return false;
}

static bool wait_for_others(struct ledger_redis *own, char after[WORD_ID_SIZE], bool *ret, struct error *err)
{
	int64_t until = clock_ms() + own->join_ms, left;
	bool others = false;

	while (!others && (left = until - clock_ms()) > 0) {
		AUTO(redis_reply) *reply = NULL;

		if (!read_words(own, own->redis, after, left, &reply, err))
			return false;
		others = words_of_others(own, words_in(reply), after);
	}
	*ret = others;
	return true;
}

static bool store_joins(struct ledger_redis *own, struct error *err)
{
	struct ledger_entry entry = { .joins = true };
	struct ledger_redis_effects none;
	struct ledger_redis_place head, place;
	enum ledger_result result = LEDGER_BEHIND;

	ledger_redis_effects_init(&none);
	for (unsigned i = 0; i < TRIES && result == LEDGER_BEHIND; i++) {
		if (!ledger_redis_head(own, &head, err))
			return false;
		result = ledger_redis_append(own, &head, &none, &entry, &place, err);
	}
	if (result == LEDGER_WRITTEN)
		own->joined = place.n;
	return result == LEDGER_WRITTEN ||
	       (result == LEDGER_BEHIND &&
		       error_set(err, ERROR_BUSY, NULL, "other leaders store without a rest: try again"));
}

bool ledger_redis_others(struct ledger_redis *own, bool *ret, struct error *err)
{
	char after[WORD_ID_SIZE];

	return newest_word(own, own->redis, after, err) && store_joins(own, err) &&
	       wait_for_others(own, after, ret, err);
}

/* BEHIND: somebody has stored something since `head`. */
static enum ledger_result store_life(struct ledger_redis *own, const struct ledger_redis_place *head,
	const struct ledger_life *life, struct error *err)
{
	struct ledger_entry entry = { .life = life, .life_begins = true };
	struct ledger_redis_effects effects;
	struct ledger_redis_place place;
	enum ledger_result result;

	ledger_redis_effects_init(&effects);
	add_life(own, &effects, life);
	result = ledger_redis_append(own, head, &effects, &entry, &place, err);
	ledger_redis_effects_fini(&effects);
	if (result == LEDGER_WRITTEN)
		own->began = place.n;
	return result;
}

/* *ret_joined: others were there, or one of those who came too was faster. */
static bool begin(struct ledger_redis *own, bool others, const struct ledger_life *life, bool *ret_joined,
	struct error *err)
{
	enum ledger_result result = LEDGER_BEHIND;
	struct ledger_life last;

	for (unsigned i = 0; i < TRIES && result == LEDGER_BEHIND; i++) {
		struct ledger_redis_place head;

		if (!ledger_redis_head(own, &head, err) ||
			(!others && !entries_of_others(own, own->joined, &others, err)) ||
			!each_life(own, NULL, NULL, &last, err))
			return false;
		if (others && *last.id) {
			own->life = last;
			*ret_joined = true;
			return true;
		}
		result = store_life(own, &head, life, err);
	}
	own->life = *life;
	*ret_joined = false;
	return result == LEDGER_WRITTEN ||
	       (result == LEDGER_BEHIND &&
		       error_set(err, ERROR_BUSY, NULL, "other leaders store without a rest: try again"));
}

bool ledger_redis_begin_life(
	struct ledger *ledger, ledger_life_f *fn, void *arg, bool *ret_joined, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_life life = { 0 }, last;
	bool others;

	random_hex(life.id, 8);
	return ledger_redis_may_read(own, err) && ledger_redis_others(own, &others, err) &&
	       begin(own, others, &life, ret_joined, err) && each_life(own, fn, arg, &last, err);
}

bool ledger_redis_put_heard(struct ledger *ledger, bool heard, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_life life = own->life;
	struct ledger_entry entry = { .life = &life };
	struct ledger_redis_effects effects;
	bool ok;

	life.heard = heard;
	ledger_redis_effects_init(&effects);
	ledger_redis_put_life(own, &effects, &life);
	ok = ledger_redis_commit_plain(own, &effects, &entry, err);
	ledger_redis_effects_fini(&effects);
	if (ok)
		own->life.heard = heard;
	return ok;
}

/* Words. */

bool ledger_redis_tell(struct ledger *ledger, struct str word, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO(redis_call) *call = ledger_redis_call(own, "XADD", "words");
	AUTO(redis_reply) *reply = NULL;
	size_t most = WORDS_BYTES / (word.len + 1);

	if (word.len > LEDGER_WORD_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "a word has at most %u bytes, this one has %zu",
			LEDGER_WORD_MAX, word.len);
	redis_call_text(call, "MAXLEN");
	redis_call_text(call, "~");
	redis_call_number(call, most < WORDS_MOST ? most : WORDS_MOST);
	redis_call_text(call, "*");
	redis_call_text(call, "by");
	redis_call_text(call, own->leader);
	redis_call_text(call, "n");
	redis_call_number(call, own->place.n);
	redis_call_text(call, "w");
	redis_call_str(call, word);
	return ledger_redis_may_read(own, err) && redis_run(own->redis, call, &reply, err);
}

bool ledger_redis_start_ear(struct ledger_redis *own, struct error *err)
{
	return newest_word(own, own->ear, own->heard, err);
}

/* The head is another entry than the newest one in memory. */
static bool look_for_more(struct ledger_redis *own, bool *ret, struct error *err)
{
	struct ledger_redis_place place = ledger_redis_place(own);
	AUTO(redis_call) *call = ledger_redis_call(own, "HGET", "head");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, "mark");
	if (!redis_run(own->ear, call, &reply, err))
		return false;
	*ret = !str_is(redis_reply_str(reply), place.mark);
	return true;
}

/* Those that were told behind an entry that is not in memory wait until it is. */
static bool tell_words(
	struct ledger_redis *own, const struct redis_reply *words, ledger_word_f *fn, void *arg)
{
	uint64_t upto = ledger_redis_place(own).n;

	for (size_t i = 0; i < redis_reply_len(words); i++) {
		struct word word = word_of(redis_reply_at(words, i));

		if (word.n > upto)
			return true;
		if (word.has_text && !is_own(own, &word)) {
			AUTO_STR *by = str_dup(word.by);

			fn(arg, by, word.text);
		}
		(void)!str_copy(redis_reply_str(redis_reply_at(redis_reply_at(words, i), 0)), own->heard,
			sizeof(own->heard));
	}
	return false;
}

bool ledger_redis_listen(struct ledger *ledger, int64_t wait_ms, ledger_word_f *fn, void *arg, bool *ret_more,
	struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO(redis_reply) *reply = NULL;
	bool more, waiting;

	if (!look_for_more(own, &more, err) ||
		!read_words(own, own->ear, own->heard, more ? 0 : wait_ms, &reply, err))
		return false;
	waiting = tell_words(own, words_in(reply), fn, arg);
	if (!more && !waiting && !look_for_more(own, &more, err))
		return false;
	*ret_more = more || waiting;
	return true;
}
