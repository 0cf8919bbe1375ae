/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error - filling the caller's struct; what is too long for it is cut, never overrun.
 */
#include "common/error.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* Texts are often built from the text that is being replaced (error_set(err, ..., err->text)), so
 * all formatting goes through a second buffer. */
static PRINTF(2, 0) void fill_text(struct error *err, const char *format, va_list args)
{
	char text[ERROR_TEXT_MAX];

	if (vsnprintf(text, sizeof(text), format, args) < 0)
		text[0] = '\0';
	memcpy(err->text, text, sizeof(text));
}

bool error_set(struct error *err, enum error_kind kind, const char *code, const char *format, ...)
{
	va_list args;

	if (!err)
		return false;
	va_start(args, format);
	fill_text(err, format, args);
	va_end(args);
	err->kind = kind;
	err->code = code;
	err->sys = 0;
	return false;
}

static enum error_kind kind_of(int sys)
{
	switch (sys) {
	case ENOSPC:
	case EDQUOT:
		return ERROR_FULL;
	case ENOENT:
		return ERROR_UNKNOWN;
	/* Of a disk, a mount or this process: it may work again without the client's doing. */
	case EROFS:
	case EACCES:
	case ESTALE:
	case EMFILE:
	case ENFILE:
		return ERROR_UNAVAILABLE;
	default:
		return ERROR_INTERNAL;
	}
}

static void append_text(struct error *err, const char *separator, const char *more)
{
	size_t len = strlen(err->text);

	(void)snprintf(err->text + len, sizeof(err->text) - len, "%s%s", separator, more);
}

bool error_sys(struct error *err, const char *format, ...)
{
	int sys = errno;
	char reason[96];
	va_list args;

	if (!err)
		return false;
	va_start(args, format);
	fill_text(err, format, args);
	va_end(args);
	append_text(err, ": ", strerror_r(sys, reason, sizeof(reason)));
	err->kind = kind_of(sys);
	err->code = NULL;
	err->sys = sys;
	return false;
}

bool error_add(struct error *err, const char *format, ...)
{
	char before[ERROR_TEXT_MAX];
	va_list args;

	if (!err)
		return false;
	memcpy(before, err->text, sizeof(before));
	va_start(args, format);
	fill_text(err, format, args);
	va_end(args);
	append_text(err, ": ", before);
	return false;
}

const char *error_kind_name(enum error_kind kind)
{
	switch (kind) {
	case ERROR_INTERNAL:
		return "internal";
	case ERROR_INVALID:
		return "invalid";
	case ERROR_DENIED:
		return "denied";
	case ERROR_UNKNOWN:
		return "unknown";
	case ERROR_CONFLICT:
		return "conflict";
	case ERROR_TOO_LARGE:
		return "too_large";
	case ERROR_BUSY:
		return "busy";
	case ERROR_TIMEOUT:
		return "timeout";
	case ERROR_UNAVAILABLE:
		return "unavailable";
	case ERROR_FULL:
		return "full";
	}
	return "internal";
}
