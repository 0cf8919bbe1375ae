/* SPDX-License-Identifier: Apache-2.0 */
/*
 * show - what the API answered, for people and for programs.
 *
 * Thread  main.
 */
#pragma once

#include "common/http_client.h"
#include "common/json.h"
#include "leader/ctl/grid.h"

struct command_call;

/* A value as text: "yes", "a, b", 12; what is nested as JSON; nothing as "-". */
void show_value(const struct json *value, struct buf *into);
/* Into the grid's next place. */
void show_put(struct grid *grid, const struct json *value);
/* Is it a time, and past? */
bool show_is_over(const struct json *value);
/* Its members, one a line, and of a validUntil that is past that it is over; those named in `skip` (NULL ended, or NULL) are left out. */
void show_object(const struct json *object, const char *const *skip);
/* The bytes that came, and the end of a line if they have none. */
void show_bytes(struct str body);
/* False, and it was said, where it is no JSON. */
bool show_parse(const struct http_result *result, struct json_doc **ret_doc) MUST_CHECK;
/* What was asked for: as it came with --json, else by `show`, from the parsed answer. The status of the command. */
typedef void show_f(const struct json *root);
int show_answer(const struct command_call *call, const struct http_result *result, show_f *show);
