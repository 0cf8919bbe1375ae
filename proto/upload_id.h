/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_id - the name of an upload session, which says on which worker its spool lies.
 *
 *     <32 hex, random>-<worker, base64url of its member name without padding>
 *
 * 128 bits of randomness make it unguessable and are the session; the second half routes it, and is another one when the session
 * goes to another worker. A plain worker without
 * peers writes "-" and an empty name. At most 32 + 1 + 172 characters of [A-Za-z0-9_-].
 * Thread  any; pure.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

#define UPLOAD_ID_SIZE 224
#define MEMBER_NAME_MAX 128

struct upload_id {
	char text[UPLOAD_ID_SIZE];
	char worker[MEMBER_NAME_MAX + 1];
};
void upload_id_new(const char *worker, struct upload_id *ret);
/* The same session at this worker. `ret` may be `id`. */
void upload_id_at(const struct upload_id *id, const char *worker, struct upload_id *ret);
/* The half that does not change, borrowed. */
struct str upload_id_session(const struct upload_id *id);
bool upload_id_parse(struct str text, struct upload_id *ret, struct error *err) MUST_CHECK; /* BLOB_UPLOAD_UNKNOWN */
