/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring - the members as they were given, their places sorted by id, and the owner of each slot.
 *
 * The slots are decided once, when the ring is made: asking for an owner is then one hash and one look-up.
 */
#include "proto/ring.h"

#include <stdatomic.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/crypto.h"
#include "proto/tenants.h"

struct ring {
	atomic_uint refs;
	uint64_t epoch, mark;
	enum ring_algorithm algorithm;
	uint8_t hash_key[16];
	struct ring_member *members;
	size_t len;
	bool has_active, has_tenants;
	int16_t *by_id;   /* places, sorted by id */
	int16_t *actives; /* places of those that are active, in the order given */
	size_t actives_len;
	int16_t owners[RING_SLOTS];
};

_Static_assert(RING_MEMBERS_MAX <= INT16_MAX, "a place fits");

/* Life. */

struct ring *ring_ref(struct ring *ring)
{
	atomic_fetch_add_explicit(&ring->refs, 1, memory_order_relaxed);
	return ring;
}

static void free_text(const char *text)
{
	free((void *)(uintptr_t)text);
}

void ring_free(struct ring *ring)
{
	if (!ring || atomic_fetch_sub_explicit(&ring->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < ring->len; i++) {
		free_text(ring->members[i].id);
		free_text(ring->members[i].url);
		free_text(ring->members[i].tenants);
	}
	free(ring->members);
	free(ring->by_id);
	free(ring->actives);
	free(ring);
}

static void copy_members(struct ring *ring, const struct ring_member *members, size_t len)
{
	ring->members = xnew_array(struct ring_member, len + 1);
	ring->actives = xnew_array(int16_t, len + 1);
	ring->len = len;
	for (size_t i = 0; i < len; i++) {
		if (members[i].active)
			ring->actives[ring->actives_len++] = (int16_t)i;
		ring->members[i].id = check_strdup(members[i].id);
		ring->members[i].url = check_strdup(members[i].url ? members[i].url : "");
		ring->members[i].active = members[i].active;
		ring->members[i].tenants = check_strdup(members[i].tenants ? members[i].tenants : "");
		ring->has_active |= members[i].active;
		ring->has_tenants |= *ring->members[i].tenants != 0;
	}
}

static int compare_ids(const void *a, const void *b, void *members)
{
	const struct ring_member *at = members;

	return strcmp(at[*(const int16_t *)a].id, at[*(const int16_t *)b].id);
}

static bool sort_by_id(struct ring *ring, struct error *err)
{
	ring->by_id = xnew_array(int16_t, ring->len + 1);
	for (size_t i = 0; i < ring->len; i++)
		ring->by_id[i] = (int16_t)i;
	qsort_r(ring->by_id, ring->len, sizeof(*ring->by_id), compare_ids, ring->members);
	for (size_t i = 1; i < ring->len; i++) {
		const char *id = ring->members[ring->by_id[i]].id;

		if (strcmp(id, ring->members[ring->by_id[i - 1]].id) == 0)
			return error_set(
				err, ERROR_INVALID, NULL, "two members of the ring are named \"%.128s\"", id);
	}
	return true;
}

static void put_number(struct buf *into, uint64_t n)
{
	for (unsigned i = 0; i < 8; i++)
		buf_putc(into, (char)(n >> i * 8 & 0xff));
}

static uint64_t compute_mark(const struct ring *ring)
{
	AUTO_FINI(buf) bytes = buf_limit(RING_MEMBERS_MAX * (RING_MEMBER_ID_MAX + 2 + TENANTS_MAX) + 24);

	put_number(&bytes, ring->epoch);
	put_number(&bytes, ring->algorithm);
	put_number(&bytes, ring->len);
	for (size_t i = 0; ring->algorithm == RING_SLOTS_RENDEZVOUS && i < ring->len; i++) {
		buf_append(&bytes, ring->members[i].id, strlen(ring->members[i].id) + 1);
		buf_puts(&bytes, ring->members[i].tenants);
		buf_putc(&bytes, ring->members[i].active ? '+' : '-');
	}
	/* Where all are active, as it has always been: members of versions before say the same. */
	for (size_t i = 0; ring->algorithm == RING_MODULO && ring->actives_len != ring->len && i < ring->len;
		i++)
		buf_putc(&bytes, ring->members[i].active ? '+' : '-');
	CHECK(!bytes.failed);
	return siphash24(ring->hash_key, bytes.at, bytes.len);
}

/* Slots. */

struct bid {
	uint64_t score;
	int16_t place;
};

static void begin_message(const struct ring *ring, int16_t place, struct buf *message)
{
	buf_clear(message);
	buf_puts(message, ring->members[place].id);
	buf_append(message, "\0\0\0", 3);
}

/* What one member bids for a slot; of two equal bids the first stays, and members come by id. */
static void bid_for(
	const struct ring *ring, int16_t place, unsigned slot, struct buf *message, struct bid *best)
{
	uint64_t score;

	message->at[message->len - 2] = (char)(slot >> 8);
	message->at[message->len - 1] = (char)(slot & 0xff);
	score = siphash24(ring->hash_key, message->at, message->len);
	if (best->place == RING_NOBODY || score > best->score)
		*best = (struct bid){ score, place };
}

static void bid(const struct ring *ring, int16_t place, struct bid best[RING_SLOTS], struct buf *message)
{
	begin_message(ring, place, message);
	for (unsigned slot = 0; slot < RING_SLOTS; slot++)
		bid_for(ring, place, slot, message, &best[slot]);
}

static void assign_slots(struct ring *ring)
{
	struct bid *best = xnew_array(struct bid, RING_SLOTS);
	AUTO_FINI(buf) message = buf_limit(RING_MEMBER_ID_MAX + 3);

	for (unsigned slot = 0; slot < RING_SLOTS; slot++)
		best[slot].place = RING_NOBODY;
	for (size_t i = 0; i < ring->len; i++) {
		if (ring->members[ring->by_id[i]].active)
			bid(ring, ring->by_id[i], best, &message);
	}
	for (unsigned slot = 0; slot < RING_SLOTS; slot++)
		ring->owners[slot] = best[slot].place;
	free(best);
}

static bool check_members(const struct ring_member *members, size_t len, struct error *err)
{
	if (len > RING_MEMBERS_MAX)
		return error_set(err, ERROR_INVALID, NULL, "a ring has at most %d members", RING_MEMBERS_MAX);
	for (size_t i = 0; i < len; i++) {
		if (!members[i].id || !*members[i].id || strlen(members[i].id) > RING_MEMBER_ID_MAX)
			return error_set(err, ERROR_INVALID, NULL,
				"the name of member %zu of the ring is not 1 to %d bytes", i,
				RING_MEMBER_ID_MAX);
	}
	return true;
}

bool ring_new(struct ring **ret_ring, uint64_t epoch, enum ring_algorithm algorithm,
	const uint8_t hash_key[16], const struct ring_member *members, size_t len, struct error *err)
{
	AUTO(ring) *ring = NULL;

	if (!check_members(members, len, err))
		return false;
	ring = xnew(struct ring);
	atomic_init(&ring->refs, 1);
	ring->epoch = epoch;
	ring->algorithm = algorithm;
	memcpy(ring->hash_key, hash_key, sizeof(ring->hash_key));
	copy_members(ring, members, len);
	if (!sort_by_id(ring, err))
		return false;
	if (algorithm == RING_SLOTS_RENDEZVOUS)
		assign_slots(ring);
	ring->mark = compute_mark(ring);
	*ret_ring = TAKE(ring);
	return true;
}

/* Look. */

uint64_t ring_epoch(const struct ring *ring)
{
	return ring->epoch;
}

uint64_t ring_mark(const struct ring *ring)
{
	return ring->mark;
}

enum ring_algorithm ring_algorithm(const struct ring *ring)
{
	return ring->algorithm;
}

const uint8_t *ring_hash_key(const struct ring *ring)
{
	return ring->hash_key;
}

static bool same_member(const struct ring_member *a, const struct ring_member *b)
{
	return !strcmp(a->id, b->id) && !strcmp(a->url, b->url) && !strcmp(a->tenants, b->tenants) &&
	       a->active == b->active;
}

bool ring_same(const struct ring *a, const struct ring *b)
{
	bool same = a->epoch == b->epoch && a->algorithm == b->algorithm && a->len == b->len &&
		    memcmp(a->hash_key, b->hash_key, sizeof(a->hash_key)) == 0;

	for (size_t i = 0; same && i < a->len; i++)
		same = same_member(&a->members[i], &b->members[i]);
	return same;
}

size_t ring_len(const struct ring *ring)
{
	return ring->len;
}

const struct ring_member *ring_at(const struct ring *ring, size_t at)
{
	CHECK(at < ring->len);
	return &ring->members[at];
}

int ring_find(const struct ring *ring, struct str id)
{
	size_t low = 0;
	size_t high = ring->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = str_compare(str_of(ring->members[ring->by_id[middle]].id), id);

		if (order == 0)
			return ring->by_id[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return RING_NOBODY;
}

bool ring_has_active(const struct ring *ring)
{
	return ring->has_active;
}

/* The same bids as for the slots, of those alone that serve the repository. */
static int owner_among(const struct ring *ring, struct str name)
{
	AUTO_FINI(buf) message = buf_limit(RING_MEMBER_ID_MAX + 3);
	struct bid best = { .place = RING_NOBODY };
	unsigned slot = ring_slot(ring, name);

	for (size_t i = 0; i < ring->len; i++) {
		const struct ring_member *member = &ring->members[ring->by_id[i]];

		if (!member->active || !tenants_have(str_of(member->tenants), name))
			continue;
		begin_message(ring, ring->by_id[i], &message);
		bid_for(ring, ring->by_id[i], slot, &message, &best);
	}
	return best.place;
}

int ring_owner(const struct ring *ring, struct str name)
{
	if (!ring->has_active)
		return RING_NOBODY;
	if (ring->algorithm == RING_MODULO)
		return ring->actives[siphash24(ring->hash_key, name.at, name.len) % ring->actives_len];
	if (ring->has_tenants)
		return owner_among(ring, name);
	return ring_slot_owner(ring, ring_slot(ring, name));
}

unsigned ring_slot(const struct ring *ring, struct str name)
{
	CHECK(ring->algorithm == RING_SLOTS_RENDEZVOUS);
	return (unsigned)(siphash24(ring->hash_key, name.at, name.len) % RING_SLOTS);
}

int ring_slot_owner(const struct ring *ring, unsigned slot)
{
	CHECK(ring->algorithm == RING_SLOTS_RENDEZVOUS && slot < RING_SLOTS);
	return ring->owners[slot];
}
