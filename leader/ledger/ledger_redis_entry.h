/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_entry - an entry of the log in Redis, as bytes and back.
 *
 * An entry has two parts, both msgpack:
 *
 *     effects   what it changes in Redis: an array of commands, each an array of texts (str, never bin: Redis' scripts read no bin). Numbers are absolute, so an entry that is stored
 *               again on top of the one before it has the same effects. The first ones are those of its entities.
 *     content   what the other leaders are told (struct ledger_entry): a map of what is there. Its entities are in the effects.
 *
 * Thread  any; pure.
 */
#pragma once

#include "leader/ledger_follow.h"
#include "proto/arena.h"
#include "proto/pack.h"

/* Of each part. */
#define LEDGER_REDIS_ENTRY_MAX (64u * 1024 * 1024)

struct ledger_redis_effects {
	struct buf commands;
	size_t len;
};
void ledger_redis_effects_init(struct ledger_redis_effects *effects);
void ledger_redis_effects_fini(struct ledger_redis_effects *effects);
/* A command of so many words; they come next. */
void ledger_redis_effect(struct ledger_redis_effects *effects, size_t words);
void ledger_redis_effect_word(struct ledger_redis_effects *effects, struct str word);
/* The whole of it. */
void ledger_redis_effects_encode(const struct ledger_redis_effects *effects, struct buf *into);

void ledger_redis_content_encode(const struct ledger_entry *entry, uint64_t forgotten, struct buf *into);

struct ledger_redis_content {
	struct ledger_entry entry;   /* all but `by` */
	uint64_t forgotten;          /* ledger_loaded; 0: as before */
	/* What it borrows from: */
	struct arena arena;
	struct ledger_member member;
	struct ledger_merge merge;
	struct ledger_life life;
	uint8_t digest[ENTITY_HASH_BYTES];
};
/* Bytes that are none of ours are an error. *ret stays where it is until its end. */
bool ledger_redis_content_decode(struct str content, struct str effects, struct ledger_redis_content *ret, struct error *err) MUST_CHECK;
void ledger_redis_content_fini(struct ledger_redis_content *content);

/* A member as it is stored. Texts are the arena's. */
void ledger_redis_member_encode(const struct ledger_member *member, struct buf *into);
bool ledger_redis_member_decode(const struct pack_node *node, struct arena *arena, struct ledger_member *ret, struct error *err) MUST_CHECK;
