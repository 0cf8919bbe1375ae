/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/peer_secret.h"

#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "leader/leader.h"

void peer_secret_make(char into[PEER_SECRET_SIZE])
{
	random_hex(into, PEER_SECRET_SIZE / 2);
}

unsigned peer_secret_change(const struct state *state, struct ledger_change *ret_change)
{
	struct entity *ring = state_find(state, ENTITY_RING, STR("ring"));
	char secret[PEER_SECRET_SIZE];
	struct ring_body body;

	if (!ring)
		return 0;
	peer_secret_make(secret);
	body = *entity_ring(ring);
	body.peer_secret_before = body.peer_secret;
	body.peer_secret = secret;
	body.peer_secret_since = clock_wall_s();
	*ret_change = (struct ledger_change){ .entity = entity_new(ENTITY_RING, STR("ring"), 0, &body),
		.check = true,
		.expected = entity_revision(ring) };
	explicit_bzero(secret, sizeof(secret));
	return 1;
}

bool peer_secret_rotate_locked(struct leader *leader, struct error *err)
{
	AUTO(state) *state = leader_state(leader);
	struct ledger_change change;
	enum ledger_result result;
	uint64_t revision;
	size_t at;

	leader_assert_locked(leader);
	if (!peer_secret_change(state, &change))
		return true;
	result = leader_write_locked(leader, &change, 1, &revision, &at, err);
	entity_free(change.entity);
	if (result == LEDGER_STALE || result == LEDGER_BEHIND)
		return error_set(err, ERROR_CONFLICT, NULL, "the ring has changed meanwhile");
	if (result == LEDGER_WRITTEN)
		log_info("peers.secret_changed", "revision=%llu", (unsigned long long)revision);
	return result == LEDGER_WRITTEN;
}

bool peer_secret_is_due(const struct state *state, int64_t now_wall_s)
{
	struct entity *ring = state_find(state, ENTITY_RING, STR("ring"));
	int64_t since = ring ? entity_ring(ring)->peer_secret_since : now_wall_s;

	for (size_t i = 0; i < state_count(state, ENTITY_WORKER); i++) {
		const struct worker_key *key = entity_worker(state_at(state, ENTITY_WORKER, i));

		if (key->enabled && key->valid_until && key->valid_until <= now_wall_s &&
			key->valid_until > since)
			return true;
	}
	return false;
}
