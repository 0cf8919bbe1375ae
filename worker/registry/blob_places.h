/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_places - repositories in which a blob was stored or seen lately, so that a mount without `from` finds it.
 *
 * A hint: what it says may be gone, and what it does not say may be there. Bounded: 4 repositories for a digest,
 * PLACES in all; a new entry may push out an older one.
 * Thread  any.
 */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"
#include "proto/digest.h"
#include "proto/name.h"

#define BLOB_PLACES_OF_ONE 4u

struct blob_places;
struct blob_places *blob_places_new(void);
void blob_places_free(struct blob_places *places);
AUTO_DEFINE(blob_places)
void blob_places_add(struct blob_places *places, const struct digest *digest, struct str name);
/* The at-th of at most BLOB_PLACES_OF_ONE; false: none at this place (there may be one at the next). */
bool blob_places_at(struct blob_places *places, const struct digest *digest, unsigned at, struct name *ret);
void blob_places_forget(struct blob_places *places, const struct digest *digest, struct str name);
