/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state - all entities at one revision: immutable, counted, sorted by (kind, id).
 *
 *        state 41 --state_change(entities)--> state 42        shares what did not change
 *        state 41 --state_apply(delta bytes)-> state 42       the same at a worker
 *
 * A state is known by its revision and its digest: the sum, lane by lane, of entity_hash() over all entities that workers get. The order does
 * not matter, and a change costs one addition and one subtraction for each entity. The same pair is the same state, in every
 * history of a leader's ledger.
 *
 * It belongs to a history (history.h), which says whose it is and what may follow it.
 *
 * On the wire (protocol: GET /api/cluster/state), msgpack:
 *   {v:2, kind:"full"|"delta", from:<revision>, revision:<revision>, cluster:<32 hex digits>, generation:<number>, entities:[entity, ...], digest:<32 bytes>}
 * `digest` is that of the state that results; where another one does, the document is refused (ERROR_CONFLICT).
 * A delta holds every entity (tombstones too) written after `from`. A full one holds no tombstones. Neither holds entities of
 * the kinds that are the leaders' alone (entity_kind_is_leaders): they are left out, and refused where they come.
 * A full one is taken at any revision, an older one too: whether it may follow is history_judge()'s to say, before.
 * Without cluster and generation it is of no history, as those that were saved before there were any.
 * Where there is no old state (a file) one of format 1 is taken, too, which has no digest.
 * A full one over an old state takes from that one, as it is, each entity that is told again in the same bytes, and where these are more than half
 * the trees as well: whoever has both has little more than one, and a kind in which nothing changed is known as such (state_same_kind()).
 * Decoding is bounded: 2,000,000 entities, and so many bytes as the caller says, of the document and of all entities of the
 * new state in memory; entities are decoded one by one, so it takes little more than these, and whatever is told not over seven times so much.
 * Anything wrong leaves the old state in place.
 * It goes by steps (common/gentle.h).
 *
 * Thread  any.
 */
#pragma once

#include "proto/entity.h"
#include "proto/history.h"

#define STATE_FORMAT 2 /* `v`. A higher one is refused: a leader tells what workers of the minor version before can read (docs/install.md) */
#define STATE_MEDIA_TYPE "application/vnd.zot.state+msgpack"
#define STATE_BYTES_MAX (1024u * 1024 * 1024)
#define STATE_ENTITIES_MAX 2000000u

struct state;
struct state *state_new(void); /* empty, revision 0 */
struct state *state_ref(struct state *state);
void          state_free(struct state *state); /* drops a reference */
AUTO_DEFINE(state)

#define STATE_DIGEST_BYTES ENTITY_HASH_BYTES
#define STATE_DIGEST_TEXT (2 * STATE_DIGEST_BYTES + 1)
uint64_t state_revision(const struct state *state);
const uint8_t *state_digest(const struct state *state); /* [STATE_DIGEST_BYTES] */
void     state_digest_hex(const struct state *state, char into[STATE_DIGEST_TEXT]);
bool     state_is(const struct state *state, uint64_t revision, const uint8_t digest[STATE_DIGEST_BYTES]);
/* Of which history; a change stays in it, what was applied is of its document's. */
const struct history *state_history(const struct state *state);
void     state_set_history(struct state *state, const struct history *history); /* before others have it */
bool     state_same(const struct state *a, const struct state *b); /* revision and digest */
size_t   state_count(const struct state *state, enum entity_kind kind);
size_t   state_admins(const struct state *state); /* enabled users of the role admin */
size_t   state_entities(const struct state *state); /* all of them */
size_t   state_bytes(const struct state *state);    /* entity_bytes() of all of them */
/* Borrowed from the state, or NULL; places are in the order of ids. */
struct entity *state_at(const struct state *state, enum entity_kind kind, size_t at);
struct entity *state_find(const struct state *state, enum entity_kind kind, struct str id);
/* First place whose id is > after: for paging. */
size_t   state_after(const struct state *state, enum entity_kind kind, struct str after);
/* The same state as far as entities of this kind go: neither was made of the other by a change of one. */
bool     state_same_kind(const struct state *a, const struct state *b, enum entity_kind kind);
/* The ids of the entities of this kind in which the two differ, borrowed from them, in order. False: there are more than `most`. */
bool     state_differ(const struct state *a, const struct state *b, enum entity_kind kind, struct str *into, size_t most, size_t *ret_len) MUST_CHECK;
/* Only the entities of these kinds (bits, 1 << kind), shared; of no revision, no digest and no counts of bytes and admins. */
struct state *state_only(const struct state *state, unsigned kinds);
/* The api key one of whose secrets (its own, or the one before) has this hash, or NULL; whether it opens the key now, apikey_opens() says. */
struct entity *state_find_secret(const struct state *state, struct str secret_hash_hex);
/* password_cost() of the most expensive hash that a user has, or had in a state that this one was made of; 0: there was none. */
unsigned state_password_cost(const struct state *state);

/* A new state at `revision` with these entities put or (tombstones) removed; of two with one id the
 * later in the list counts. Takes no ownership: the state holds references of its own. */
struct state *state_change(const struct state *old, struct entity *const *changed, size_t len,
			   uint64_t revision);

/* Its digest is that of what is written: after it was read, the state's own too, unless the leader that told it knows members of entities
 * that we do not. */
bool state_encode_full(const struct state *state, struct buf *into); /* it is the state's own digest */
/* The entities given (puts and tombstones, each newest only) make `to` of the state at `from`. */
void state_encode_delta(uint64_t from, const struct state *to, struct entity *const *changed, size_t len, struct buf *into);
/* As it comes from a worker, and lay on disks before state_chain.h: "ZOTSTATE1", SHA-256 of the rest, the full state. */
void state_seal(const struct state *state, struct buf *into);
bool state_unseal(struct str bytes, struct state **ret, struct error *err) MUST_CHECK;
/* old NULL or any for a full one; a delta's `from` must equal the old revision (ERROR_CONFLICT otherwise). *ret_full: it was a full one. */
bool state_apply_within(size_t most, struct str bytes, const struct state *old, struct state **ret, bool *ret_full, struct error *err) MUST_CHECK;
bool state_apply(struct str bytes, const struct state *old, struct state **ret, struct error *err) MUST_CHECK; /* STATE_BYTES_MAX */
