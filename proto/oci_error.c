/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_error - two tables: codes (oci_error.def) and, for what has no code of the specification, kinds.
 */
#include "proto/oci_error.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"

struct code {
	const char *name;
	unsigned status;
	const char *text;
};
static const struct code codes[] = {
#define OCI_ERROR(name, status, text) { #name, status, text },
#include "proto/oci_error.def"
#undef OCI_ERROR
};

/* `nearest` decides what clients do: docker repeats after UNAVAILABLE, neither after TOOMANYREQUESTS nor after UNSUPPORTED. */
static const struct kind {
	unsigned status;
	bool wins;           /* over the status of the code */
	const char *nearest; /* code of the specification */
	const char *text;    /* shown instead of a text that is not for clients */
} kinds[] = {
	[ERROR_INTERNAL] = { 500, false, "UNSUPPORTED", "internal error of the registry" },
	[ERROR_INVALID] = { 400, false, "UNSUPPORTED", "the request is not valid" },
	[ERROR_DENIED] = { 403, false, "DENIED", "not allowed" },
	[ERROR_UNKNOWN] = { 404, false, "NAME_UNKNOWN", "no such thing" },
	[ERROR_CONFLICT] = { 409, false, "TOOMANYREQUESTS", "somebody else is changing this: try again" },
	[ERROR_TOO_LARGE] = { 413, true, "SIZE_INVALID", "too large" },
	[ERROR_BUSY] = { 503, true, "UNAVAILABLE", "the registry is busy: try again later" },
	[ERROR_TIMEOUT] = { 503, true, "UNAVAILABLE", "no progress in time: try again later" },
	[ERROR_UNAVAILABLE] = { 503, true, "UNAVAILABLE", "temporarily unavailable: try again later" },
	[ERROR_FULL] = { 507, true, "BLOB_UPLOAD_INVALID", "the registry has no room left" },
};

static const struct code *code_find(const char *name)
{
	for (size_t i = 0; name && i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(codes[i].name, name) == 0)
			return &codes[i];
	}
	return NULL;
}

static const struct kind *kind_of(const struct error *err)
{
	size_t at = (size_t)err->kind;

	return &kinds[at < sizeof(kinds) / sizeof(kinds[0]) ? at : ERROR_INTERNAL];
}

unsigned oci_error_status(const struct error *err)
{
	const struct code *code = code_find(err->code);
	const struct kind *kind = kind_of(err);

	if (code && err->kind == ERROR_BUSY && code->status == 429)
		return code->status;
	return code && !kind->wins ? code->status : kind->status;
}

/* A text is cut at its limit anywhere and may quote what a client sent; JSON must be UTF-8. */
static void repair(char *text)
{
	struct str rest = str_of(text);

	while (rest.len) {
		size_t len = str_utf8_len(rest);

		if (len == 0) {
			text[rest.at - text] = '?';
			len = 1;
		}
		rest = str_from(rest.at + len, rest.len - len);
	}
}

static void write_body(const struct error *err, bool saying, struct buf *into)
{
	const struct kind *kind = kind_of(err);
	const struct code *code = code_find(err->code);
	bool hidden = err->kind == ERROR_INTERNAL || err->sys != 0 || !*err->text;
	struct json_writer writer = json_writer(into);
	char reason[ERROR_TEXT_MAX];

	if (!code)
		code = code_find(kind->nearest);
	(void)snprintf(reason, sizeof(reason), "%s", hidden ? kind->text : err->text);
	repair(reason);
	json_open_object(&writer);
	json_key(&writer, STR("errors"));
	json_open_array(&writer);
	json_open_object(&writer);
	json_put_text(&writer, "code", code->name);
	json_put_text(&writer, "message", saying ? reason : code->text);
	json_key(&writer, STR("detail"));
	json_open_object(&writer);
	json_put_text(&writer, "reason", reason);
	json_close_object(&writer);
	json_close_object(&writer);
	json_close_array(&writer);
	json_close_object(&writer);
}

void oci_error_body(const struct error *err, struct buf *into)
{
	write_body(err, false, into);
}

void oci_error_body_saying(const struct error *err, struct buf *into)
{
	write_body(err, true, into);
}
