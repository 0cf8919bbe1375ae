/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_priv - what the files of entity share.
 */
#pragma once

#include "proto/entity_table.h"

/* Of one entity, members that we don't know among them: far beyond what its bounds come to. */
#define ENTITY_ENCODED_MAX (64u * ENTITY_BYTES_MAX)

#define KIND(constant, name, plural, noun, ...) struct noun name;
union entity_body {
#include "proto/entity_kinds.def"
};
#undef KIND

/* Of an entity that nobody else has yet. */
void entity_keep_hash(struct entity *entity, const struct entity_hash *hash);
/* The value alone; nothing of a plain field. */
void entity_write_field(const struct field *field, const void *body, struct json_writer *writer);
/* The body, whatever its kind; NULL for a tombstone. */
const void *entity_body(const struct entity *entity);
/* Checks id, body and size, then copies. `body` NULL makes a tombstone. */
bool entity_make(enum entity_kind kind, struct str id, uint64_t revision, const void *body,
		 struct entity **ret, struct error *err) MUST_CHECK;

/* entity_check.c: the rules. Texts of a body are not NULL here. */
bool entity_check_id(enum entity_kind kind, struct str id, struct error *err) MUST_CHECK;
bool entity_check_body(enum entity_kind kind, const void *body, struct error *err) MUST_CHECK;
field_check_f check_password_hash, check_user_id, check_hex, check_scope, check_role, check_glob, check_name;
