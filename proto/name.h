/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name - a repository's name: components joined by '/', at most 255 bytes.
 *
 *     component = [a-z0-9]+ ( ( "." | "_" | "__" | "-"* ) [a-z0-9]+ )*
 *
 * Components "blobs", "manifests", "tags", "referrers" are legal. A name that would lie on top of the
 * layout of a shorter one is refused: "index.json", "index.log" and "oci-layout" behind a '/', and the
 * path of a blob, ".../blobs/sha256/<64 hex>" ("_catalog" cannot be: it begins with '_').
 * Source  OCI distribution-spec, "Pull".   Thread  any; pure.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

#define NAME_MAX_LEN 255

struct name {
	char text[NAME_MAX_LEN + 1];
};

/* NAME_INVALID */
bool name_parse(struct str text, struct name *ret, struct error *err) MUST_CHECK;
static inline struct str name_str(const struct name *name) { return str_of(name->text); }
