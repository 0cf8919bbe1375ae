/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_priv - what the files of the registry share, and nobody else needs.
 */
#pragma once

struct registry;

/* registry_pulls.c. All that was counted is written, as far as that goes in PULLS_END_MS; what is lost is told. Not the pool's. */
#define PULLS_END_MS 10000
void registry_end_pulls(struct registry *registry);
