/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/peer_seen.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define PARTS      16u
#define PART_ROOM  (PEER_SEEN_PROCESSES / PARTS)
#define WORD_BITS  32u
#define WORDS      (PEER_SEEN_WINDOW / WORD_BITS)
#define ROUND_LEAD 1u /* a word that nobody has used is of round 0 */

_Static_assert(
	PEER_SEQUENCE_MAX / PEER_SEEN_WINDOW + ROUND_LEAD <= UINT32_MAX, "rounds fit into a word's half");

struct window {
	uint8_t process[PEER_PROCESS_BYTES];
	int64_t floor_ms;          /* when it was made: what is older may have been taken before */
	_Atomic int64_t newest_ms; /* of the tokens that were taken */
	_Atomic uint64_t words[WORDS];
};

struct part {
	pthread_rwlock_t lock;
	int64_t floor_ms;
	unsigned len;
	struct window *windows[PART_ROOM];
};

struct peer_seen {
	struct part parts[PARTS];
};

struct peer_seen *peer_seen_new(void)
{
	struct peer_seen *seen = xnew(struct peer_seen);

	for (unsigned i = 0; i < PARTS; i++) {
		CHECK(!pthread_rwlock_init(&seen->parts[i].lock, NULL));
		seen->parts[i].floor_ms = INT64_MIN;
	}
	return seen;
}

void peer_seen_free(struct peer_seen *seen)
{
	if (!seen)
		return;
	for (unsigned i = 0; i < PARTS; i++) {
		for (unsigned at = 0; at < seen->parts[i].len; at++)
			free(seen->parts[i].windows[at]);
		(void)pthread_rwlock_destroy(&seen->parts[i].lock);
	}
	free(seen);
}

/* The window of one process. */

static void learn_time(struct window *window, int64_t issued_ms)
{
	int64_t newest = atomic_load_explicit(&window->newest_ms, memory_order_relaxed);

	while (newest < issued_ms && !atomic_compare_exchange_weak(&window->newest_ms, &newest, issued_ms))
		;
}

static enum peer_seen_answer take(struct window *window, uint64_t sequence)
{
	_Atomic uint64_t *word = &window->words[sequence / WORD_BITS % WORDS];
	uint64_t round = sequence / PEER_SEEN_WINDOW + ROUND_LEAD, bit = UINT64_C(1) << sequence % WORD_BITS;
	uint64_t now = atomic_load_explicit(word, memory_order_relaxed), then;

	do {
		if (now >> WORD_BITS > round || (now >> WORD_BITS == round && now & bit))
			return PEER_SEEN_USED;
		then = now >> WORD_BITS == round ? now | bit : round << WORD_BITS | bit;
	} while (!atomic_compare_exchange_weak(word, &now, then));
	return PEER_SEEN_NEW;
}

/* The table. */

static struct window *find(const struct part *part, const uint8_t process[PEER_PROCESS_BYTES])
{
	for (unsigned i = 0; i < part->len; i++)
		if (!memcmp(part->windows[i]->process, process, PEER_PROCESS_BYTES))
			return part->windows[i];
	return NULL;
}

static enum peer_seen_answer take_of(struct window *window, uint64_t sequence, int64_t issued_ms)
{
	if (issued_ms <= window->floor_ms)
		return PEER_SEEN_EARLY;
	learn_time(window, issued_ms);
	return take(window, sequence);
}

/* Room for one more; the caller has the lock alone. */
static unsigned make_room(struct part *part)
{
	unsigned quiet = 0;

	if (part->len < PART_ROOM)
		return part->len++;
	for (unsigned i = 1; i < PART_ROOM; i++)
		if (part->windows[i]->newest_ms < part->windows[quiet]->newest_ms)
			quiet = i;
	if (part->floor_ms < part->windows[quiet]->newest_ms)
		part->floor_ms = part->windows[quiet]->newest_ms;
	free(part->windows[quiet]);
	return quiet;
}

static enum peer_seen_answer take_of_new(
	struct part *part, const uint8_t process[PEER_PROCESS_BYTES], uint64_t sequence, int64_t issued_ms)
{
	struct window *window = find(part, process);
	unsigned at;

	if (window)
		return take_of(window, sequence, issued_ms);
	if (issued_ms <= part->floor_ms)
		return PEER_SEEN_EARLY;
	at = make_room(part);
	window = part->windows[at] = xnew(struct window);
	memcpy(window->process, process, PEER_PROCESS_BYTES);
	window->floor_ms = part->floor_ms;
	return take_of(window, sequence, issued_ms);
}

enum peer_seen_answer peer_seen_take(struct peer_seen *seen, const uint8_t process[PEER_PROCESS_BYTES],
	uint64_t sequence, int64_t issued_ms)
{
	struct part *part = &seen->parts[process[0] % PARTS];
	enum peer_seen_answer answer = PEER_SEEN_EARLY;
	struct window *window;

	CHECK(sequence <= PEER_SEQUENCE_MAX);
	CHECK(!pthread_rwlock_rdlock(&part->lock));
	window = find(part, process);
	if (window)
		answer = take_of(window, sequence, issued_ms);
	(void)pthread_rwlock_unlock(&part->lock);
	if (window)
		return answer;
	CHECK(!pthread_rwlock_wrlock(&part->lock));
	answer = take_of_new(part, process, sequence, issued_ms);
	(void)pthread_rwlock_unlock(&part->lock);
	return answer;
}
