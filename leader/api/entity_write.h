/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_write - POST, PUT and PATCH of an entity: checked, written durably if nobody was faster, answered.
 *
 *     POST   creates; 409 when it exists          PUT    creates or replaces; secrets that are not given stay
 *     PATCH  JSON merge patch                     If-Match, If-None-Match: *  refuse with 412
 *
 * An API key that comes without a secret gets one (and a client id, if it has none): the 201 shows it, once.
 * Thread  pool.
 */
#pragma once

#include "leader/api/call.h"

struct http_response *entity_write(struct api_job *job);

#define ENTITY_SECRET_BYTES 32
/* The one time that a secret is shown. */
struct http_response *entity_secret_response(unsigned status, const struct entity *entity, const char *secret);
void entity_put_secret(struct json_writer *w, const struct entity *entity, const char *secret); /* its members */
struct http_response *entity_response(unsigned status, const struct entity *entity); /* with ETag */
struct http_response *entity_absent(const struct api_job *job);                    /* 404 */
struct http_response *entity_stale(const struct entity *entity);                     /* 412; NULL: it is not there */
/* `tags` of If-Match or If-None-Match: "*" or one of a list is the entity's. */
bool entity_tag_matches(struct str tags, const struct entity *entity);
/* The conditions of the request hold for the entity, or for its absence (NULL). */
bool entity_tag_allows(const struct api_job *job, const struct entity *entity);
/* NULL: it is not there, for whoever asks; borrowed from the state. */
struct entity *entity_find_seen(const struct api_job *job, const struct state *state, struct str id);
bool entity_is_last_admin(const struct state *state, const struct entity *user);
