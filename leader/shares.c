/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/shares.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/lock.h"
#include "common/log.h"
#include "proto/ring.h"

#define DIGITS 6

struct shares {
	struct lock lock;
	struct entity *ring; /* that was counted, or NULL */
	double *of;          /* each member's, as they stand in the ring */
};

struct shares *shares_new(void)
{
	struct shares *shares = xnew(struct shares);

	lock_init(&shares->lock);
	return shares;
}

void shares_free(struct shares *shares)
{
	if (!shares)
		return;
	entity_free(shares->ring);
	free(shares->of);
	lock_fini(&shares->lock);
	free(shares);
}

static bool make_ring(const struct ring_body *body, struct ring **ret_ring, struct error *err)
{
	struct ring_member *members = xnew_array(struct ring_member, body->members_len + 1);
	uint8_t key[16];
	bool ok;

	for (size_t i = 0; i < body->members_len; i++)
		members[i] = (struct ring_member){ .id = body->members[i].id,
			.url = body->members[i].url,
			.active = !strcmp(body->members[i].state, "active") };
	ok = str_unhex(str_of(body->hash_key), key, sizeof(key)) &&
	     ring_new(ret_ring, (uint64_t)body->epoch, RING_SLOTS_RENDEZVOUS, key, members, body->members_len,
		     err);
	free(members);
	return ok;
}

static void count_slots(const struct ring *ring, double *of)
{
	for (unsigned slot = 0; slot < RING_SLOTS; slot++) {
		int owner = ring_slot_owner(ring, slot);
		if (owner >= 0)
			of[owner] += 1.0 / RING_SLOTS;
	}
}

static void count(const struct ring_body *body, double *of)
{
	AUTO(ring) *ring = NULL;
	struct error err = { 0 };

	if (!strcmp(body->algorithm, "modulo")) {
		for (size_t i = 0; i < body->members_len; i++)
			of[i] = 1.0 / (double)body->members_len;
		return;
	}
	if (make_ring(body, &ring, &err))
		count_slots(ring, of);
	else
		log_error("ring.broken", "error=%s", log_quote(str_of(err.text)));
}

static void count_locked(struct shares *shares, struct entity *ring)
{
	const struct ring_body *body = entity_ring(ring);

	lock_assert(&shares->lock);
	if (shares->ring == ring)
		return;
	entity_free(shares->ring);
	free(shares->of);
	shares->ring = entity_ref(ring);
	shares->of = xnew_array(double, body->members_len + 1);
	count(body, shares->of);
}

static void put_row(const struct ring_row *row, double share, struct json_writer *w)
{
	json_open_object(w);
	json_put_text(w, "name", row->id);
	json_put_text(w, "zone", row->zone);
	json_put_text(w, "url", row->url);
	json_put_text(w, "state", row->state);
	json_key(w, STR("share"));
	json_value_decimal(w, share, DIGITS);
	json_close_object(w);
}

static void put_members(const struct ring_body *body, const double *of, struct json_writer *w)
{
	json_put_int(w, "epoch", body->epoch);
	json_put_text(w, "algorithm", body->algorithm);
	json_key(w, STR("members"));
	json_open_array(w);
	for (size_t i = 0; i < body->members_len; i++)
		put_row(&body->members[i], of[i], w);
	json_close_array(w);
}

void shares_write(struct shares *shares, const struct state *state, struct json_writer *w)
{
	struct entity *ring = state_find(state, ENTITY_RING, STR("ring"));

	json_open_object(w);
	json_put_uint(w, "revision", state_revision(state));
	if (ring) {
		lock_take(&shares->lock);
		count_locked(shares, ring);
		put_members(entity_ring(ring), shares->of, w);
		lock_drop(&shares->lock);
	}
	json_close_object(w);
}
