/* SPDX-License-Identifier: Apache-2.0 */
#include "common/logins.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/lock.h"
#include "common/logins_priv.h"
#include "common/loop.h"
#include "common/map.h"
#include "common/metrics.h"
#include "common/password.h"
#include "common/pool.h"

#define REMEMBERED_MAX 10000
#define WAITS_MAX      4096 /* for one verification */
#define ASK_MAX        4096 /* bytes of user, password and hash */

struct remembered {
	int64_t until_ms;
};

struct logins {
	struct logins_settings settings;
	uint8_t keys[2][16];
	struct lock lock;             /* guards all below */
	struct recent *right, *wrong; /* key -> struct remembered */
	struct map *flights;          /* key -> struct logins_flight, queued and running ones */
	struct logins_queue before, strangers;
	struct logins_limit limit;
	unsigned lanes; /* at work */
	unsigned cost;  /* the most expensive that was seen */
	int64_t mean_us;
	struct logins_stats stats;
};

struct logins_wait {
	struct logins *logins;
	struct logins_flight *flight;     /* NULL: the answer is on its way */
	struct logins_wait *next, **link; /* of those of the flight */
	struct loop *loop;
	logins_done_f *done; /* NULL: given up */
	void *arg;
	enum logins_answer answer;
	unsigned retry_after_s;
};

/* Life. */

unsigned logins_lanes(unsigned cores, unsigned pool_threads)
{
	unsigned lanes = cores / 2 < pool_threads / 4 ? cores / 2 : pool_threads / 4;

	return lanes ? lanes : 1;
}

static unsigned lanes_here(struct pool *pool)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return logins_lanes(cores > 0 ? (unsigned)cores : 1, pool_size(pool));
}

struct logins *logins_new(const struct logins_settings *settings)
{
	struct logins *logins = xnew(struct logins);

	logins->settings = *settings;
	if (!logins->settings.at_once)
		logins->settings.at_once = lanes_here(settings->pool);
	if (!logins->settings.clock_ms)
		logins->settings.clock_ms = clock_ms;
	logins->cost = settings->least_cost ? settings->least_cost : PASSWORD_COST;
	random_bytes(logins->keys, sizeof(logins->keys));
	lock_init(&logins->lock);
	logins->right = recent_new(REMEMBERED_MAX, sizeof(struct remembered));
	logins->wrong = recent_new(REMEMBERED_MAX, sizeof(struct remembered));
	logins->flights = map_new();
	logins_queue_init(&logins->before);
	logins_queue_init(&logins->strangers);
	logins_limit_init(&logins->limit);
	return logins;
}

void logins_free(struct logins *logins)
{
	if (!logins)
		return;
	CHECK(!map_len(logins->flights));
	map_free(logins->flights);
	logins_queue_fini(&logins->before);
	logins_queue_fini(&logins->strangers);
	logins_limit_fini(&logins->limit);
	recent_free(logins->right);
	recent_free(logins->wrong);
	lock_fini(&logins->lock);
	explicit_bzero(logins->keys, sizeof(logins->keys));
	free(logins);
}

static int64_t now_of(const struct logins *logins)
{
	return logins->settings.clock_ms();
}

/* Keys. */

/* Lengths go in front, so that no two lists of texts make the same message. */
static struct recent_key key_of(const struct logins *logins, const struct str *texts, size_t n)
{
	char message[ASK_MAX];
	struct recent_key key;
	size_t len = 0;

	for (size_t i = 0; i < n; i++, len += sizeof(size_t))
		memcpy(message + len, &texts[i].len, sizeof(size_t));
	for (size_t i = 0; i < n; i++) {
		CHECK(texts[i].len <= sizeof(message) - len);
		if (texts[i].len)
			memcpy(message + len, texts[i].at, texts[i].len);
		len += texts[i].len;
	}
	for (unsigned i = 0; i < 2; i++)
		key.half[i] = siphash24(logins->keys[i], message, len);
	explicit_bzero(message, len);
	return key;
}

static struct recent_key key_of_ask(const struct logins *logins, const struct logins_ask *ask)
{
	const struct str texts[] = { ask->user, ask->password, ask->hash };

	return key_of(logins, texts, 3);
}

static struct logins_who who_of(const struct logins *logins, const struct ip *network, struct str user)
{
	const struct str pair[] = { str_from(network->at, sizeof(network->at)), user };

	return (struct logins_who){
		.address = key_of(logins, pair, 1),
		.account = key_of(logins, &pair[1], 1),
		.pair = key_of(logins, pair, 2),
	};
}

static struct str name_of(const struct recent_key *key)
{
	return str_from(key, sizeof(*key));
}

/* Answers. */

static void deliver(void *arg)
{
	struct logins_wait *wait = arg;

	if (wait->done)
		wait->done(wait->arg, wait->answer, wait->retry_after_s);
	free(wait);
}

static void answer(struct logins_wait *wait, enum logins_answer with, int64_t retry_ms)
{
	wait->flight = NULL;
	wait->answer = with;
	wait->retry_after_s = (unsigned)((retry_ms + 999) / 1000);
	loop_post(wait->loop, deliver, wait);
}

static void flight_free(struct logins_flight *flight)
{
	explicit_bzero(flight->password, strlen(flight->password));
	free(flight->password);
	free(flight->hash);
	free(flight);
}

/* The end of a flight that is in no queue any more. */
static void settle_locked(
	struct logins *logins, struct logins_flight *flight, enum logins_answer with, int64_t retry_ms)
{
	struct logins_wait *wait = flight->waits;

	lock_assert(&logins->lock);
	(void)map_delete(logins->flights, name_of(&flight->key));
	if (with == LOGINS_LATER)
		logins->stats.limited += flight->waits_len;
	else if (flight->waits_len)
		logins->stats.shared += flight->waits_len - 1;
	while (wait) {
		struct logins_wait *next = wait->next;

		answer(wait, with, retry_ms);
		wait = next;
	}
	flight_free(flight);
}

/* The lane. */

static void note_locked(struct logins *logins, const struct logins_flight *flight, bool right)
{
	int64_t now = now_of(logins);

	lock_assert(&logins->lock);
	logins->stats.verified++;
	if (right) {
		struct remembered *remembered = recent_put(logins->right, flight->key);

		remembered->until_ms = now + logins->settings.kept_ms;
		logins_limit_succeeded(&logins->limit, &flight->who, now);
		return;
	}
	recent_remove(logins->right, flight->key);
	((struct remembered *)recent_put(logins->wrong, flight->key))->until_ms = now + LOGINS_WRONG_MS;
	logins->stats.wrong++;
	logins_limit_failed(&logins->limit, &flight->who, now);
}

/* How long the last of a queue waits for its turn. */
static int64_t turn_ms_locked(const struct logins *logins, const struct logins_queue *queue)
{
	size_t ahead = queue == &logins->before ? queue->len : queue->len + logins->before.len;

	lock_assert(&logins->lock);
	return (int64_t)ahead * logins->mean_us / 1000 / logins->settings.at_once;
}

/* The next that is to be verified; those that failed too often while they waited are answered. */
static struct logins_flight *next_locked(struct logins *logins)
{
	struct logins_flight *flight;
	int64_t wait_ms;

	lock_assert(&logins->lock);
	for (;;) {
		flight = logins_queue_pop(&logins->before);
		if (!flight)
			flight = logins_queue_pop(&logins->strangers);
		if (!flight || flight->known)
			return flight;
		wait_ms = logins_limit_wait(&logins->limit, &flight->who, now_of(logins));
		if (!wait_ms)
			return flight;
		settle_locked(logins, flight, LOGINS_LATER, wait_ms);
	}
}

static void verify(struct logins *logins, struct logins_flight *flight)
{
	int64_t begin = clock_us(), begin_cpu = clock_cpu_us(), took;
	bool right = password_verify(str_of(flight->password), str_of(flight->hash), flight->cost);

	lock_take(&logins->lock);
	took = clock_us() - begin;
	logins->mean_us += (took - logins->mean_us) / (logins->mean_us ? 8 : 1);
	logins->stats.work_us += (uint64_t)(clock_cpu_us() - begin_cpu);
	note_locked(logins, flight, right);
	settle_locked(logins, flight, right ? LOGINS_RIGHT : LOGINS_WRONG, 0);
	lock_drop(&logins->lock);
}

static struct logins_flight *next(struct logins *logins)
{
	struct logins_flight *flight;

	lock_take(&logins->lock);
	flight = next_locked(logins);
	logins->lanes -= !flight;
	lock_drop(&logins->lock);
	return flight;
}

static void run_lane(void *arg)
{
	struct logins *logins = arg;
	struct logins_flight *flight;

	while ((flight = next(logins)))
		verify(logins, flight);
}

static void start_lane_locked(struct logins *logins)
{
	lock_assert(&logins->lock);
	if (logins->lanes == logins->settings.at_once)
		return;
	logins->lanes++;
	pool_push(logins->settings.pool, run_lane, logins);
}

/* Taking off. */

static struct logins_flight *flight_new_locked(struct logins *logins, const struct logins_ask *ask,
	struct recent_key key, const struct logins_who *who, struct ip network)
{
	struct logins_flight *flight = xnew(struct logins_flight);
	unsigned own = ask->hash.len ? password_cost(ask->hash) : 0;

	lock_assert(&logins->lock);
	if (ask->cost > logins->cost)
		logins->cost = ask->cost;
	if (own > logins->cost)
		logins->cost = own;
	flight->key = key;
	flight->who = *who;
	flight->network = network;
	flight->password = check_strndup(ask->password.at, ask->password.len);
	flight->hash = ask->hash.len ? check_strndup(ask->hash.at, ask->hash.len) : NULL;
	flight->cost = logins->cost;
	(void)map_put(logins->flights, name_of(&key), flight);
	return flight;
}

/* Milliseconds until it is worth asking again; 0: there is room. */
static int64_t full_locked(
	const struct logins *logins, const struct logins_queue *queue, const struct ip *network, bool known)
{
	int64_t turn_ms = turn_ms_locked(logins, queue);

	lock_assert(&logins->lock);
	if (queue->len < LOGINS_QUEUE_MAX && turn_ms <= LOGINS_WAIT_MS &&
		(known || logins_queue_of(queue, network) < LOGINS_ADDRESS_MAX))
		return 0;
	return turn_ms > 1000 ? turn_ms : 1000;
}

/* NULL: *ret_retry_ms says when to come again. */
static struct logins_flight *take_off_locked(struct logins *logins, const struct logins_ask *ask,
	struct recent_key key, bool renewal, int64_t *ret_retry_ms)
{
	struct ip network = ip_client(&ask->client);
	struct logins_who who = who_of(logins, &network, ask->user);
	bool known = recent_find(logins->right, key);
	int64_t now = now_of(logins);
	bool first = known || logins_limit_trusts(&logins->limit, &who, now);
	struct logins_queue *queue = first ? &logins->before : &logins->strangers;
	struct logins_flight *flight;

	lock_assert(&logins->lock);
	*ret_retry_ms = known ? 0 : logins_limit_wait(&logins->limit, &who, now);
	if (!*ret_retry_ms)
		*ret_retry_ms = full_locked(logins, queue, &network, known);
	if (*ret_retry_ms)
		return NULL;
	flight = flight_new_locked(logins, ask, key, &who, network);
	flight->known = known;
	flight->renewal = renewal;
	logins_queue_push(queue, flight);
	start_lane_locked(logins);
	return flight;
}

/* Asking. */

static void renew_locked(struct logins *logins, const struct logins_ask *ask, struct recent_key key)
{
	int64_t retry_ms;

	lock_assert(&logins->lock);
	if (!map_find(logins->flights, name_of(&key)) && take_off_locked(logins, ask, key, true, &retry_ms))
		logins->stats.renewed++;
}

static enum logins_answer look_locked(
	struct logins *logins, const struct logins_ask *ask, struct recent_key key)
{
	const struct remembered *remembered = recent_find(logins->right, key);
	int64_t now = now_of(logins);

	lock_assert(&logins->lock);
	if (remembered && remembered->until_ms > now) {
		if (remembered->until_ms - now <= logins->settings.kept_ms / 4)
			renew_locked(logins, ask, key);
		return LOGINS_RIGHT;
	}
	remembered = recent_find(logins->wrong, key);
	return remembered && remembered->until_ms > now ? LOGINS_WRONG : LOGINS_UNKNOWN;
}

enum logins_answer logins_look(struct logins *logins, const struct logins_ask *ask)
{
	struct recent_key key = key_of_ask(logins, ask);
	enum logins_answer with;

	lock_take(&logins->lock);
	with = look_locked(logins, ask, key);
	lock_drop(&logins->lock);
	return with;
}

static void join_locked(struct logins_flight *flight, struct logins_wait *wait)
{
	lock_assert(&wait->logins->lock);
	wait->flight = flight;
	wait->next = flight->waits;
	wait->link = &flight->waits;
	if (wait->next)
		wait->next->link = &wait->next;
	flight->waits = wait;
	flight->waits_len++;
}

static void ask_locked(struct logins *logins, const struct logins_ask *ask, struct logins_wait *wait)
{
	struct recent_key key = key_of_ask(logins, ask);
	enum logins_answer known = look_locked(logins, ask, key);
	struct logins_flight *flight = map_find(logins->flights, name_of(&key));
	int64_t retry_ms = 1000;

	lock_assert(&logins->lock);
	if (known != LOGINS_UNKNOWN) {
		answer(wait, known, 0);
		return;
	}
	if (!flight)
		flight = take_off_locked(logins, ask, key, false, &retry_ms);
	if (flight && flight->waits_len < WAITS_MAX) {
		join_locked(flight, wait);
		return;
	}
	logins->stats.limited++;
	answer(wait, LOGINS_LATER, retry_ms);
}

struct logins_wait *logins_start(struct logins *logins, const struct logins_ask *ask, struct loop *loop,
	logins_done_f *done, void *arg)
{
	struct logins_wait *wait = xnew(struct logins_wait);

	*wait = (struct logins_wait){ .logins = logins, .loop = loop, .done = done, .arg = arg };
	lock_take(&logins->lock);
	ask_locked(logins, ask, wait);
	lock_drop(&logins->lock);
	return wait;
}

static void leave_locked(struct logins *logins, struct logins_wait *wait)
{
	struct logins_flight *flight = wait->flight;

	lock_assert(&logins->lock);
	*wait->link = wait->next;
	if (wait->next)
		wait->next->link = wait->link;
	flight->waits_len--;
	if (flight->waits_len || flight->renewal || !flight->queue)
		return;
	logins_queue_remove(flight);
	settle_locked(logins, flight, LOGINS_UNKNOWN, 0);
}

void logins_cancel(struct logins_wait *wait)
{
	struct logins *logins = wait->logins;
	bool on_its_way;

	loop_assert(wait->loop);
	wait->done = NULL;
	lock_take(&logins->lock);
	on_its_way = !wait->flight;
	if (!on_its_way)
		leave_locked(logins, wait);
	lock_drop(&logins->lock);
	if (!on_its_way)
		free(wait);
}

/* Look. */

struct logins_stats logins_stats(struct logins *logins)
{
	struct logins_stats stats;

	lock_take(&logins->lock);
	stats = logins->stats;
	stats.waiting = logins->before.len + logins->strangers.len;
	stats.running = map_len(logins->flights) - stats.waiting;
	lock_drop(&logins->lock);
	return stats;
}

static void put(struct buf *into, const char *prefix, const char *name, const char *help, uint64_t value)
{
	char full[96];

	(void)snprintf(full, sizeof(full), "%slogins_%s", prefix, name);
	metrics_put(into, full, str_ends(str_of(name), "_total") ? "counter" : "gauge", help, "", value);
}

void logins_metrics(struct logins *logins, const char *prefix, struct buf *into)
{
	struct logins_stats stats = logins_stats(logins);
	char full[96];

	put(into, prefix, "verified_total", "Passwords that were verified by their hash.", stats.verified);
	put(into, prefix, "wrong_total", "Passwords that were wrong, or of users who do not exist.",
		stats.wrong);
	put(into, prefix, "renewed_total", "Remembered passwords that were verified anew in time.",
		stats.renewed);
	put(into, prefix, "shared_total",
		"Logins that waited for the verification of the same user and password.", stats.shared);
	put(into, prefix, "limited_total",
		"Logins answered with 429: too many failures, or too many passwords to verify.",
		stats.limited);
	(void)snprintf(full, sizeof(full), "%slogins_work_seconds_total", prefix);
	metrics_put_seconds(into, full, "counter", "Processor time that verifying took.", "", stats.work_us);
	put(into, prefix, "waiting", "Passwords that wait to be verified.", stats.waiting);
	put(into, prefix, "running", "Passwords that are being verified.", stats.running);
}
