/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/extensions.h"

static bool has_userprefs(const struct extensions *extensions)
{
	return extensions->userprefs;
}

static bool has_search(const struct extensions *extensions)
{
	return extensions->search;
}

static bool has_cosign(const struct extensions *extensions)
{
	return extensions->cosign;
}

static bool has_notation(const struct extensions *extensions)
{
	return extensions->notation;
}

static const struct extension rows[] = {
	{ EXTENSION_PATH("notation"), has_notation },
	{ EXTENSION_PATH("cosign"), has_cosign },
	{ EXTENSION_PATH("search"), has_search },
	{ EXTENSION_PATH("userprefs"), has_userprefs },
	{ EXTENSION_PATH("mgmt"), has_search },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

const struct extension *extension_find(struct str path)
{
	for (size_t i = 0; i < ROWS; i++)
		if (str_is(path, rows[i].path))
			return &rows[i];
	return NULL;
}

bool extension_is_off(const struct extensions *extensions, struct str path)
{
	const struct extension *extension = extension_find(path);

	return extension && !(extensions && extension->is_on(extensions));
}

const struct extension *extension_next(const struct extensions *extensions, size_t *at)
{
	while (extensions && *at < ROWS) {
		const struct extension *extension = &rows[(*at)++];

		if (extension->is_on(extensions))
			return extension;
	}
	return NULL;
}
