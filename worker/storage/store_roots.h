/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_roots - several roots that are one store, as zot's storage.subPaths has them: a folder or a bucket of its own for all repositories
 * whose name begins with a certain component.
 *
 *     "/a" -> /disk2        a/app, a/b/c        lie in /disk2/a/app, /disk2/a/b/c: the name is whole there too
 *     ""   -> /disk1        a, ab/app, team/x   and all others lie in the first root; "a" alone does too, as zot has it
 *
 * Each root is a store like any other, with its own catalog, marks, logs, eras and clock, so a folder or a bucket that zot served opens as it
 * is, and is served alone as well. What a root has of names that are another's is not seen: not served, not listed, not imported.
 *
 * The catalog is one, in byte order: the names below "a/" are all between those before and those behind, so the roots are read one after the
 * other, the first again behind each, and nothing is merged. It fails when one of them does: a list that lacks some would be taken for whole.
 *
 * Nobody above need know of it (store.h): a root that is away makes its own repositories fail, no others.
 *
 * Thread  as store.h; it is immutable.
 */
#pragma once

#include "worker/storage/store.h"

struct store_part {
	const char *component; /* "a"; borrowed */
	struct store *store;
};
/* Owns `first` and what the parts have from here on. At most STORE_ROOTS_MAX - 1 parts, each component once. */
struct store *store_roots_new(struct store *first, const struct store_part *parts, size_t len);

/* A blob of one root for another, by its driver's keys. ERROR_UNKNOWN: it is not there, or has another digest. ERROR_INVALID: it lies in a
 * bucket, of which there is no file to send: who wants it there sends the bytes. Thread  pool. */
bool store_roots_copy(struct store *from, const char *from_key, struct store *to, const char *to_key, const struct digest *digest,
		      struct error *err) MUST_CHECK;
