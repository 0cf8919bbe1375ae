/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fellows - a word is lines of JSON: the first is who tells it, each of the others a beat (proto/usage.h), or what is asked of a chore:
 *     {"order":17,"member":"worker-1","process":"5f3a","chore":"gc","stop":false,"dryRun":true}
 * which leaders of before take for a beat without a name, and leave.
 */
#include "leader/fellows.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/few.h"
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/map.h"
#include "leader/feed.h"
#include "leader/follow.h"
#include "leader/leader.h"
#include "leader/ledger_follow.h"
#include "leader/members.h"
#include "leader/report.h"
#include "proto/usage.h"

#define LISTEN_MS   200
#define PRESENCE_MS 300
#define REST_MS     50
/* A word is not much longer; what does not fit is the next one. */
#define WORD_BYTES (LEDGER_WORD_MAX / 2)
/* Processes whose newest beat is not told yet. */
#define BEATS_MAX (2 * MEMBERS_MAX)
/* What is heard at once: all members' beats, as long as they may be. */
#define HEARSAY_MAX (32u * 1024 * 1024)
#define ORDER_BYTES 4096 /* of a line: names escaped */
#define ORDER_HEAD  "{\"order\":"
#define SAY_MOST    3
#define SAY_SPAN_MS 60000

struct fellow {
	char name[64], version[32], by[32];
	int64_t seen_ms;
};

struct beat {
	uint64_t number, telling; /* telling: of the one that is in the word under way */
	char *text;
};

struct fellows {
	struct leader *leader;
	pthread_t listener, teller;
	bool started;
	atomic_bool stopping;
	_Atomic int64_t heard_ms, told_ms;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct map *beats; /* process -> struct beat */
	bool greets;
	struct buf orders; /* lines that are not told yet */
	struct fellow fellows[FELLOWS_MAX];
	size_t fellows_len;
	struct few failed;
	bool untold; /* the last word could not be told, because: */
	struct error why;
};

struct fellows *fellows_new(struct leader *leader)
{
	struct fellows *fellows = xnew(struct fellows);
	pthread_condattr_t attributes;

	fellows->leader = leader;
	fellows->beats = map_new();
	fellows->orders = buf_limit(FELLOWS_ORDERS_BYTES);
	(void)pthread_mutex_init(&fellows->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&fellows->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	return fellows;
}

static void beat_free(struct beat *beat)
{
	if (beat)
		free(beat->text);
	free(beat);
}

void fellows_free(struct fellows *fellows)
{
	struct str key;
	void *value;

	if (!fellows)
		return;
	for (size_t at = 0; map_next(fellows->beats, &at, &key, &value);)
		beat_free(value);
	map_free(fellows->beats);
	buf_fini(&fellows->orders);
	(void)pthread_cond_destroy(&fellows->wake);
	(void)pthread_mutex_destroy(&fellows->lock);
	free(fellows);
}

/* Contact. */

static int64_t away_ms(const struct fellows *fellows)
{
	int64_t heard = atomic_load(&fellows->heard_ms), told = atomic_load(&fellows->told_ms);

	return clock_ms() - (heard < told ? heard : told);
}

bool fellows_in_contact(struct fellows *fellows, int64_t *ret_away_ms)
{
	if (!fellows)
		return true;
	*ret_away_ms = away_ms(fellows);
	return *ret_away_ms < FELLOWS_CONTACT_MS;
}

int64_t fellows_margin_ms(const struct fellows *fellows)
{
	return fellows ? FELLOWS_MARGIN_MS : 0;
}

/* Whoever beat at another leader meanwhile was not heard here: nobody is lost for that. */
static void note_contact(struct fellows *fellows, _Atomic int64_t *which, int64_t now_ms)
{
	bool away = away_ms(fellows) >= FELLOWS_CONTACT_MS;

	atomic_store(which, now_ms);
	if (!away || away_ms(fellows) >= FELLOWS_CONTACT_MS)
		return;
	members_forgive(fellows->leader->members, now_ms);
	log_info("store.back", "name=%s", log_quote(str_of(fellows->leader->settings->name)));
}

static void say_away(struct fellows *fellows, const struct error *err)
{
	pthread_mutex_lock(&fellows->lock);
	if (few_take(&fellows->failed, SAY_MOST, SAY_SPAN_MS, clock_ms()))
		log_error("store.away", "error=%s trying again", log_quote(str_of(err->text)));
	pthread_mutex_unlock(&fellows->lock);
}

/* Telling. */

static void put_beat(struct fellows *fellows, const char *process, uint64_t number, struct buf *text)
{
	struct beat *beat = map_find(fellows->beats, str_of(process));

	if (!beat && map_len(fellows->beats) >= BEATS_MAX)
		return;
	if (!beat) {
		beat = xnew(struct beat);
		(void)map_put(fellows->beats, str_of(process), beat);
	} else if (beat->number >= number) {
		return;
	}
	free(beat->text);
	beat->number = number;
	beat->text = check_strdup(buf_text(text));
}

void fellows_note(struct fellows *fellows, const struct usage_report *report)
{
	AUTO_FINI(buf) text = buf_limit(USAGE_BYTES_MAX);
	struct usage_report beat;

	if (!fellows || report->seq || report->final)
		return;
	beat = *report;
	beat.rows_len = beat.repositories_len = beat.demands_len = 0;
	usage_report_encode(&beat, &text);
	pthread_mutex_lock(&fellows->lock);
	put_beat(fellows, members_process_of(report), report->number, &text);
	pthread_mutex_unlock(&fellows->lock);
}

static void put_order(
	const char *name, const char *process, const struct usage_order *order, struct buf *line)
{
	struct json_writer w = json_writer(line);

	json_open_object(&w);
	json_put_uint(&w, "order", order->id);
	json_put_text(&w, "member", name);
	json_put_text(&w, "process", process);
	json_put_text(&w, "chore", order->chore);
	json_put_bool(&w, "stop", order->stop);
	json_put_bool(&w, "dryRun", order->dry_run);
	json_close_object(&w);
	buf_putc(line, '\n');
}

void fellows_order(
	struct fellows *fellows, const char *name, const char *process, const struct usage_order *order)
{
	AUTO_FINI(buf) line = buf_limit(ORDER_BYTES);

	if (!fellows)
		return;
	put_order(name, process, order, &line);
	pthread_mutex_lock(&fellows->lock);
	if (!line.failed && line.len <= FELLOWS_ORDERS_BYTES - fellows->orders.len)
		buf_add(&fellows->orders, buf_str(&line));
	fellows->greets = true;
	pthread_cond_signal(&fellows->wake);
	pthread_mutex_unlock(&fellows->lock);
}

void fellows_greet(struct fellows *fellows)
{
	members_ask_chores(fellows->leader->members);
	pthread_mutex_lock(&fellows->lock);
	fellows->greets = true;
	pthread_cond_signal(&fellows->wake);
	pthread_mutex_unlock(&fellows->lock);
}

static void put_head(const struct leader *leader, struct buf *word)
{
	struct json_writer w = json_writer(word);

	json_open_object(&w);
	json_put_text(&w, "name", leader->settings->name);
	json_put_text(&w, "version", ZOT_VERSION);
	json_close_object(&w);
	buf_putc(word, '\n');
}

/* They stay until they are told. */
static void put_beats(struct fellows *fellows, struct buf *word)
{
	void *value;

	for (size_t at = 0; word->len < WORD_BYTES && map_next(fellows->beats, &at, NULL, &value);) {
		struct beat *beat = value;
		beat->telling = beat->number;
		buf_puts(word, beat->text);
		buf_putc(word, '\n');
	}
}

static void drop_orders(struct fellows *fellows, size_t told)
{
	struct buf rest = buf_limit(FELLOWS_ORDERS_BYTES);

	buf_append(&rest, fellows->orders.at + told, fellows->orders.len - told);
	buf_fini(&fellows->orders);
	fellows->orders = rest;
}

static void drop_told(struct fellows *fellows, size_t orders)
{
	struct str key;
	void *value;

	if (orders)
		drop_orders(fellows, orders);
	for (size_t at = 0; map_next(fellows->beats, &at, &key, &value);) {
		struct beat *beat = value;
		if (beat->telling != beat->number)
			continue;
		(void)map_delete(fellows->beats, key);
		beat_free(beat);
	}
}

bool fellows_may_store(struct fellows *fellows, struct error *err)
{
	bool untold;

	if (!fellows)
		return true;
	pthread_mutex_lock(&fellows->lock);
	untold = fellows->untold;
	if (untold)
		*err = fellows->why;
	pthread_mutex_unlock(&fellows->lock);
	return !untold;
}

static void note_told(struct fellows *fellows, bool told, const struct error *err)
{
	pthread_mutex_lock(&fellows->lock);
	fellows->untold = !told;
	if (!told)
		fellows->why = *err;
	pthread_mutex_unlock(&fellows->lock);
}

static bool tell(struct fellows *fellows, struct error *err)
{
	struct leader *leader = fellows->leader;
	AUTO_FINI(buf) word = buf_limit(LEDGER_WORD_MAX);
	size_t orders;
	bool ok;

	put_head(leader, &word);
	pthread_mutex_lock(&fellows->lock);
	fellows->greets = false;
	orders = fellows->orders.len;
	buf_add(&word, buf_str(&fellows->orders));
	put_beats(fellows, &word);
	pthread_mutex_unlock(&fellows->lock);
	leader_lock(leader);
	ok = buf_check(&word, "the word to other leaders", err) &&
	     ledger_tell(leader->ledger, buf_str(&word), err);
	leader_unlock(leader);
	if (!ok)
		return false;
	pthread_mutex_lock(&fellows->lock);
	drop_told(fellows, orders);
	pthread_mutex_unlock(&fellows->lock);
	return true;
}

static struct timespec in_ms(int64_t ms)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += ms * 1000000;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	return at;
}

/* Until there is something to tell: beats, a greeting, or that this leader is there. */
static bool is_due(const struct fellows *fellows, int64_t tried_ms)
{
	return map_len(fellows->beats) || clock_ms() - tried_ms >= PRESENCE_MS;
}

static void await_due(struct fellows *fellows, int64_t tried_ms)
{
	bool due = false;

	pthread_mutex_lock(&fellows->lock);
	while (!due && !fellows->greets && !atomic_load(&fellows->stopping)) {
		const struct timespec until = in_ms(FELLOWS_TELL_MS);
		due = pthread_cond_timedwait(&fellows->wake, &fellows->lock, &until) != 0 &&
		      is_due(fellows, tried_ms);
	}
	pthread_mutex_unlock(&fellows->lock);
}

static void *tell_run(void *arg)
{
	struct fellows *fellows = arg;
	int64_t tried_ms = 0;
	struct error err;

	while (!atomic_load(&fellows->stopping)) {
		bool told;

		await_due(fellows, tried_ms);
		tried_ms = clock_ms();
		told = tell(fellows, &err);
		note_told(fellows, told, &err);
		if (told)
			note_contact(fellows, &fellows->told_ms, tried_ms);
		else
			say_away(fellows, &err);
	}
	return NULL;
}

/* Listening. */

static void rest(void)
{
	const struct timespec span = { .tv_nsec = REST_MS * 1000000L };

	(void)nanosleep(&span, NULL);
}

static struct fellow *fellow_of(struct fellows *fellows, const char *by)
{
	struct fellow *oldest = &fellows->fellows[0];

	for (size_t i = 0; i < fellows->fellows_len; i++) {
		struct fellow *fellow = &fellows->fellows[i];
		if (!strcmp(fellow->by, by))
			return fellow;
		if (fellow->seen_ms < oldest->seen_ms)
			oldest = fellow;
	}
	return fellows->fellows_len < FELLOWS_MAX ? &fellows->fellows[fellows->fellows_len++] : oldest;
}

static void copy_text(struct str text, char *into, size_t size)
{
	(void)snprintf(into, size, "%.*s", STR_ARGS(text));
}

static void take_head(struct fellows *fellows, const char *by, struct str line)
{
	AUTO(json_doc) *doc = NULL;
	struct fellow *fellow;

	if (!json_parse(line, &doc, NULL))
		return;
	pthread_mutex_lock(&fellows->lock);
	fellow = fellow_of(fellows, by);
	copy_text(str_of(by), fellow->by, sizeof(fellow->by));
	copy_text(json_str(json_find(json_root(doc), "name")), fellow->name, sizeof(fellow->name));
	copy_text(json_str(json_find(json_root(doc), "version")), fellow->version, sizeof(fellow->version));
	fellow->seen_ms = clock_ms();
	pthread_mutex_unlock(&fellows->lock);
}

/* What is heard is kept until what was stored before it is in memory. */
struct hearsay {
	struct fellows *fellows;
	struct buf beats; /* lines */
};

static void on_word(void *arg, const char *by, struct str word)
{
	struct hearsay *hearsay = arg;
	struct str head;

	if (!str_until(&word, '\n', &head))
		return;
	take_head(hearsay->fellows, by, head);
	buf_add(&hearsay->beats, word);
}

static bool read_order(const struct json *root, struct usage_order *order)
{
	int64_t id;

	*order = (struct usage_order){ 0 };
	if (!json_get_int(json_find(root, "order"), &id) || id <= 0 ||
		!str_copy(json_str(json_find(root, "chore")), order->chore, sizeof(order->chore)))
		return false;
	order->id = (uint64_t)id;
	return json_get_bool(json_find(root, "stop"), &order->stop) &&
	       json_get_bool(json_find(root, "dryRun"), &order->dry_run);
}

static void overhear_order(struct leader *leader, struct str line)
{
	AUTO(json_doc) *doc = NULL;
	AUTO_FINI(buf) name = buf_limit(USAGE_NAME_MAX + 1);
	AUTO_FINI(buf) process = buf_limit(USAGE_NAME_MAX + 1);
	struct usage_order order;

	if (!json_parse(line, &doc, NULL) || !read_order(json_root(doc), &order))
		return;
	buf_add(&name, json_str(json_find(json_root(doc), "member")));
	buf_add(&process, json_str(json_find(json_root(doc), "process")));
	if (!members_overhear_order(leader->members, buf_text(&name), buf_text(&process), &order, clock_ms()))
		return;
	if (leader->feed)
		feed_reports_wanted(leader->feed);
}

static void overhear(struct leader *leader, struct str beats)
{
	struct usage_report report;
	struct str line;

	while (str_until(&beats, '\n', &line)) {
		if (str_starts(line, ORDER_HEAD)) {
			overhear_order(leader, line);
			continue;
		}
		if (!usage_report_parse(line, &report, NULL))
			continue;
		report_overhear(leader, &report);
		usage_report_fini(&report);
	}
}

static bool listen_once(struct fellows *fellows, struct hearsay *hearsay, struct error *err)
{
	struct leader *leader = fellows->leader;
	bool more, ok;

	if (!ledger_listen(leader->ledger, LISTEN_MS, on_word, hearsay, &more, err))
		return false;
	if (more) {
		leader_lock(leader);
		ok = follow_locked(leader, err);
		leader_unlock(leader);
		if (!ok)
			return false;
	}
	overhear(leader, buf_str(&hearsay->beats));
	return true;
}

static void *listen_run(void *arg)
{
	struct fellows *fellows = arg;
	struct error err;

	while (!atomic_load(&fellows->stopping)) {
		struct hearsay hearsay = { .fellows = fellows, .beats = buf_limit(HEARSAY_MAX) };
		if (listen_once(fellows, &hearsay, &err)) {
			note_contact(fellows, &fellows->heard_ms, clock_ms());
		} else {
			say_away(fellows, &err);
			rest();
		}
		buf_fini(&hearsay.beats);
	}
	return NULL;
}

/* The threads. */

static bool begin(pthread_t *thread, void *(*run)(void *arg), struct fellows *fellows, struct error *err)
{
	errno = pthread_create(thread, NULL, run, fellows);
	return !errno || error_sys(err, "a thread for other leaders");
}

bool fellows_start(struct fellows *fellows, struct error *err)
{
	loop_assert(fellows->leader->loop);
	atomic_store(&fellows->heard_ms, clock_ms());
	atomic_store(&fellows->told_ms, clock_ms());
	if (!begin(&fellows->listener, listen_run, fellows, err))
		return false;
	if (!begin(&fellows->teller, tell_run, fellows, err)) {
		atomic_store(&fellows->stopping, true);
		(void)pthread_join(fellows->listener, NULL);
		return false;
	}
	fellows->started = true;
	return true;
}

void fellows_stop(struct fellows *fellows)
{
	if (!fellows || !fellows->started)
		return;
	pthread_mutex_lock(&fellows->lock);
	atomic_store(&fellows->stopping, true);
	pthread_cond_signal(&fellows->wake);
	pthread_mutex_unlock(&fellows->lock);
	(void)pthread_join(fellows->listener, NULL);
	(void)pthread_join(fellows->teller, NULL);
	fellows->started = false;
}

/* Looking. */

static void write_one(const struct fellow *fellow, int64_t now_ms, struct json_writer *writer)
{
	json_open_object(writer);
	json_put_text(writer, "name", fellow->name);
	json_put_text(writer, "version", fellow->version);
	json_put_int(writer, "seenMs", now_ms - fellow->seen_ms);
	json_close_object(writer);
}

void fellows_write(struct fellows *fellows, struct json_writer *writer)
{
	int64_t now_ms = clock_ms();

	pthread_mutex_lock(&fellows->lock);
	for (size_t i = 0; i < fellows->fellows_len; i++)
		if (now_ms - fellows->fellows[i].seen_ms < FELLOWS_SHOWN_MS)
			write_one(&fellows->fellows[i], now_ms, writer);
	pthread_mutex_unlock(&fellows->lock);
}
