/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_memory - the memory of one parsed document: bounded, given back at once and as a whole.
 *
 *     [ chunk ]->[ chunk ]->[ chunk, larger ]      handed out from the front; nothing is returned but the last
 *
 * A short text can ask for a large tree ("[[],[],[], ..." takes 60 times its length), so what counts is the tree. The first
 * JSON_MEMORY_SMALL bytes are free for all. A document that grows beyond them reserves its whole `max` of the budget that all
 * large documents of the process share, and keeps it until it is freed. Who finds the budget taken waits for others to be done, at
 * most 5 s. One that may have more than the whole budget gets it when nobody else has any of it.
 *
 * Chunks of a large document are mapped, so the system has them back the moment they are freed.
 * Thread  a memory belongs to one thread at a time; who reserves may wait, so large texts are parsed on the pool.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/cleanup.h"
#include "common/error.h"

#define JSON_MEMORY_SMALL  ((size_t)1024 * 1024)
#define JSON_MEMORY_BUDGET ((size_t)128 * 1024 * 1024)

struct json_memory;
/* first: bytes of the first chunk, a guess. */
struct json_memory *json_memory_new(size_t first, size_t max);
/* Of a document that must be read whatever others do: it reserves nothing. */
struct json_memory *json_memory_new_own(size_t first, size_t max);
void json_memory_free(struct json_memory *memory);
AUTO_DEFINE(json_memory)

/* Aligned for anything; NULL: no more of it, json_memory_refusal() says why. */
void *json_memory_take(struct json_memory *memory, size_t len);
/* What was taken last comes back; anything else stays until the end. */
void json_memory_return(struct json_memory *memory, void *at);
/* False and ERROR_TOO_LARGE or ERROR_BUSY when something was refused. */
bool json_memory_refusal(const struct json_memory *memory, struct error *err) MUST_CHECK;
size_t json_memory_used(const struct json_memory *memory); /* bytes of its chunks */
size_t json_memory_reserved(void);                         /* of the budget, by all */
