/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - how a mistake of ours ends the process.
 *
 * The sentence is written without stdio and without allocating: the state of both is in doubt.
 */
#include "common/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Noreturn void die(const char *text, int len, size_t size)
{
	size_t n = len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;

	if (write(STDERR_FILENO, text, n) < 0)
		abort();
	abort();
}

_Noreturn void check_failed(const char *expr, const char *file, int line, const char *func)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "check failed: %s in %s(), %s:%d\n", expr, func, file, line);

	die(text, len, sizeof(text));
}

static _Noreturn void die_of_memory(size_t n, size_t size)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "out of memory: %zu x %zu bytes\n", n, size);

	die(text, len, sizeof(text));
}

void *check_alloc(size_t n, size_t size)
{
	void *at = calloc(n ? n : 1, size ? size : 1);

	if (!at)
		die_of_memory(n, size);
	return at;
}

void *check_aligned(size_t align, size_t size)
{
	void *at = NULL;

	if (posix_memalign(&at, align, size ? size : 1) != 0)
		die_of_memory(1, size);
	return at;
}

char *check_strdup(const char *text)
{
	return check_strndup(text, strlen(text));
}

char *check_strndup(const char *at, size_t len)
{
	char *copy;

	CHECK(len < SIZE_MAX);
	copy = check_alloc(len + 1, 1);
	if (len)
		memcpy(copy, at, len);
	return copy;
}
