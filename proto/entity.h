/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity - one thing of the cluster's state, `(kind, id) -> body`, stamped with the revision of
 * the write that last touched it.
 *
 * Each kind is one row of entity_kinds.def and a C struct that is described once, field by field, in
 * entity_fields.def: from these come the JSON of the admin API (in and out) and its paths, the msgpack
 * of snapshots and of the ledger, and validation.
 *
 * To add a kind: its row in entity_kinds.def, its fields in entity_fields.def, its struct here, the rule
 * of its ids (and of the body, where fields alone cannot say it) in entity_check.c. Nothing else.
 *
 * An entity is immutable and counted once made; everything it points to is its own and lies in one
 * block of memory. Texts of a body are never NULL: absent is "". Old and new state tables share
 * those that did not change.
 * Bounds: id 255 bytes, text 4 KiB, 1,024 items in a list, 256 KiB for one entity.
 *
 * Thread  any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/json.h"
#include "proto/pack.h"

/* ENTITY_USER and so on; ENTITY_KINDS is how many there are. */
#define KIND(constant, ...) ENTITY_##constant,
enum entity_kind {
#include "proto/entity_kinds.def"
	ENTITY_KINDS
};
#undef KIND

#define ENTITY_BYTES_MAX (256u * 1024)
#define ENTITY_ID_MAX 255
#define ENTITY_TEXT_MAX 4096
#define ENTITY_ITEMS_MAX 1024

struct texts { const char **at; size_t len; };
bool texts_have(const struct texts *texts, struct str text);
struct pair { const char *key, *value; };
struct pairs { struct pair *at; size_t len; };

struct user {
	const char *password_hash; /* crypt(3); JSON gives "password", hashed on the way in; never shown */
	struct texts groups;
	struct texts roles;        /* "admin", "reader", "key-manager:<group>" */
	bool enabled;
	int64_t throttling_quota, daily_quota, monthly_quota, monthly_bytes; /* of all that the user does, as those of a key */
	struct pairs metadata;
};

struct apikey {
	const char *owner;         /* a user's name */
	const char *label;
	const char *secret_hash;   /* hex SHA-256 of the secret; never shown */
	const char *secret_hash_before; /* of the one before the last rotation; never shown */
	int64_t grace_until;       /* wall seconds, until when that one opens too; 0 = it does not */
	struct texts scopes;       /* "<glob>:<action>[,<action>...]"; empty = all that the owner may */
	bool enabled;
	int64_t valid_until;       /* wall seconds, 0 = for ever */
	int64_t throttling_quota;  /* calls a second, 0 = none */
	int64_t daily_quota;       /* calls, 0 = none */
	int64_t monthly_quota;
	int64_t monthly_bytes;
	struct texts tags;
	struct pairs metadata;
};

struct policy_rule {
	struct texts users, groups, actions; /* read create update delete detectManifestCollision */
};
struct policy { /* id = repository glob */
	struct policy_rule *policies;
	size_t policies_len;
	struct texts default_policy, anonymous_policy;
};

struct cluster_settings { /* id = "cluster" */
	int64_t lease_ms;          /* default 6000 */
	int64_t push_every_ms;     /* 2000 */
	int64_t grant_ms;          /* 15000: for how long a grant is good without a leader's answer */
	int64_t poll_wait_ms;      /* long poll: 25000 */
	bool isolated;             /* storage is each worker's own */
};

struct ring_row {
	const char *id, *url, *zone, *state; /* state: joining active draining */
	const char *tenants;                 /* proto/tenants.h */
};
struct ring_body { /* id = "ring" */
	int64_t epoch;
	const char *algorithm;     /* "slots" */
	const char *hash_key;      /* 32 hex */
	struct ring_row *members;
	size_t members_len;
	const char *peer_secret;        /* what members know each other by; never shown */
	const char *peer_secret_before; /* the one before, for those who have not heard yet */
	int64_t peer_secret_since;      /* wall seconds */
};

struct worker_key { /* id = the member's name; the leaders' alone, never in what workers get */
	const char *secret_hash;   /* hex SHA-256 of the secret; never shown */
	const char *description;
	bool enabled;
	int64_t valid_until;       /* wall seconds, 0 = for ever */
};

struct user_group { /* id = the group's name */
	struct texts users;        /* names; beside the users who name the group themselves */
	const char *description;
	int64_t throttling_quota, daily_quota, monthly_quota, monthly_bytes; /* of all that its users do together, as those of a key */
};

struct admin_policy { /* id = "admin": zot's adminPolicy */
	struct texts users, groups, actions; /* read create update delete */
};

struct session_key { /* id = "session"; the leaders' alone */
	const char *secret;        /* 64 hex; never shown */
};

struct member_drain { /* id = the member's name; the leaders' alone: workers see it in the ring */
	int64_t since;             /* wall seconds */
	const char *by;            /* who asked for it */
};

struct repository_limits { /* id = repository glob; each repository that it decides for has them for itself */
	int64_t byte_quota;        /* of distinct content, 0 = none */
	int64_t tag_limit;         /* 0 = none */
	struct texts immutable_tags; /* globs */
	const char *retention;       /* JSON (retention.h); "": none */
	const char *description;
};

struct user_prefs { /* id = the user's name; user_prefs.h */
	struct texts repositories; /* in the order of bytes, each once */
	struct texts calls;        /* hex: the last changes */
};

struct trust_key { /* id: what it has; trust_key.h */
	const char *type;          /* cosign, ca, signingAuthority */
	const char *pem;
};

struct entity; /* counted */
struct entity *entity_ref(struct entity *entity);
void           entity_free(struct entity *entity); /* drops a reference */
AUTO_DEFINE(entity)

enum entity_kind entity_kind(const struct entity *entity);
struct str       entity_id(const struct entity *entity);
size_t           entity_bytes(const struct entity *entity); /* of memory */
uint64_t         entity_revision(const struct entity *entity);
bool             entity_is_deleted(const struct entity *entity); /* a tombstone: no body */
/* The body, of each kind one: entity_user() and so on. CHECKs the kind. NULL for a tombstone. */
#define KIND(constant, name, plural, noun, ...) const struct noun *entity_##name(const struct entity *entity);
#include "proto/entity_kinds.def"
#undef KIND

/* Flags of a kind: what an admin may do beside reading, and who gets it. */
#define ENTITY_MAY_CREATE 1u  /* POST makes another one */
#define ENTITY_MAY_REPLACE 2u /* PUT and PATCH of one */
#define ENTITY_MAY_DELETE 4u
#define ENTITY_MAY_ALL (ENTITY_MAY_CREATE | ENTITY_MAY_REPLACE | ENTITY_MAY_DELETE)
#define ENTITY_OF_LEADERS 8u /* the leaders' alone */
unsigned    entity_kind_flags(enum entity_kind kind);
bool        entity_kind_is_leaders(enum entity_kind kind); /* no worker gets it */
const char *entity_kind_name(enum entity_kind kind); /* "user" */
bool        entity_kind_parse(struct str name, enum entity_kind *ret) MUST_CHECK;

/* From a body struct (deep copy; NULL texts become "") / a tombstone. The caller vouches for the
 * values: they are checked again wherever the entity is decoded. */
struct entity *entity_new(enum entity_kind kind, struct str id, uint64_t revision, const void *body);
struct entity *entity_new_deleted(enum entity_kind kind, struct str id, uint64_t revision);
struct entity *entity_with_revision(const struct entity *entity, uint64_t revision);

/*
 * JSON of the admin API. Parsing checks every field by the table (unknown members are errors that
 * name the nearest known one) and the id by the kind's rule. `base` not NULL: JSON merge patch
 * (RFC 7396) over it. Write-only members ("password", secrets) are taken where the table says so.
 * "id" and "kind" may be there if they say the same; "revision" may be there and is ignored, so
 * what was read can be written back. The result has the revision of `base`, or 0: whoever stores
 * it stamps it with entity_with_revision().
 * Thread  pool: hashing a "password" costs about 50 ms.
 */
bool entity_from_json(enum entity_kind kind, struct str id, const struct json *node,
		      const struct entity *base, struct entity **ret, struct error *err) MUST_CHECK;
/* {"id":..., "revision":..., fields}; secrets are left out. A tombstone: "deleted":true and no fields. */
void entity_to_json(const struct entity *entity, struct json_writer *writer);
/* The same with its kind and all fields, the hashes of secrets too: for an export. */
void entity_to_json_whole(const struct entity *entity, struct json_writer *writer);
/* A body with the defaults, id "": to fill in. Without what is write-only. */
void entity_template_to_json(enum entity_kind kind, struct json_writer *writer);
/* The whole, secrets' hashes too: for the snapshot and the leader's ledger. */
void entity_encode(const struct entity *entity, struct buf *into);
bool entity_decode(const struct pack_node *node, struct entity **ret, struct error *err) MUST_CHECK;
/* What an encoded one says to be, borrowed; the rest of it is not looked at. */
bool entity_decode_name(const struct pack_node *node, enum entity_kind *ret_kind, struct str *ret_id, struct error *err) MUST_CHECK;
/*
 * SHA-256 of the entity as it is encoded, as four little endian numbers: what makes up a state's digest. Taken once and kept.
 * entity_decode_told() is for who was told by a leader: it takes the hash of what came, members that it does not know too. So leaders and
 * workers of different versions come to the same digest.
 */
#define ENTITY_HASH_BYTES 32
#define ENTITY_HASH_LANES 4
struct entity_hash { uint64_t lanes[ENTITY_HASH_LANES]; };
struct entity_hash entity_hash(struct entity *entity);
struct entity_hash entity_hash_bytes(struct str encoded);
void entity_hash_add(struct entity_hash *sum, struct entity_hash hash); /* modulo 2^64 */
void entity_hash_subtract(struct entity_hash *sum, struct entity_hash hash);
void entity_hash_put(struct entity_hash hash, uint8_t into[ENTITY_HASH_BYTES]);
bool entity_decode_told(const struct pack_node *node, struct entity **ret, struct error *err) MUST_CHECK;
