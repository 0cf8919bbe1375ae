/* SPDX-License-Identifier: Apache-2.0 */
/*
 * push_memory - what all pushes that go to a bucket as they come may hold in memory together.
 *
 * Nobody waits for it: who gets none takes another way (a push: through the spool, whole), so one who holds much of it for long makes
 * others slower, and stops nobody. Of what is given back four pieces are kept for the next, as far as all together stay below the bound, and as
 * pages that the system may take whenever it is short of memory (MADV_FREE); the rest goes back to it.
 * Thread  any.
 */
#pragma once

#include <stdint.h>

struct push_memory;
struct push_memory *push_memory_new(uint64_t most);
void push_memory_free(struct push_memory *memory); /* all was given back */
/* NULL: there is not so much. Its content is undefined. */
char *push_memory_take(struct push_memory *memory, uint64_t bytes);
/* NULL is fine. */
void push_memory_give(struct push_memory *memory, char *at, uint64_t bytes);
uint64_t push_memory_used(const struct push_memory *memory);
