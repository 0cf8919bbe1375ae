/* SPDX-License-Identifier: Apache-2.0 */
#include "common/setting_files.h"

#include <fcntl.h>
#include <libgen.h>
#include <netdb.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"

bool setting_check_readable(const char *path, const char *key, struct error *err)
{
	return !path || access(path, R_OK) == 0 || error_sys(err, "%s: %s", key, path);
}

/* The nearest that is there of it and what it lies in. */
static bool is_below_folder(const char *path)
{
	AUTO_STR *copy = check_strdup(path);
	char *at = copy;
	struct stat st;

	while (stat(at, &st) != 0 && strcmp(at, "/") != 0 && strcmp(at, ".") != 0)
		at = dirname(at);
	return stat(at, &st) == 0 && S_ISDIR(st.st_mode);
}

bool setting_check_folder(const char *path, const char *key, struct error *err)
{
	return !path || is_below_folder(path) ||
	       error_set(err, ERROR_INVALID, NULL, "%s: %s is no folder, nor can there be one", key, path);
}

bool setting_check_in_folder(const char *path, const char *key, struct error *err)
{
	AUTO_STR *copy = path ? check_strdup(path) : NULL;
	struct stat st;

	if (!path)
		return true;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return error_set(err, ERROR_INVALID, NULL, "%s: %s is a folder", key, path);
	return (stat(dirname(copy), &st) == 0 && S_ISDIR(st.st_mode)) ||
	       error_set(err, ERROR_INVALID, NULL, "%s: the folder of %s is not there", key, path);
}

/* A power cut may leave a file that is empty, or has nothing but zeros. */
static bool is_own(const char *path, const char *begin)
{
	char found[32] = { 0 };
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? pread(fd, found, sizeof(found) - 1, 0) : 0;

	return len <= 0 || !found[0] || !strncmp(found, begin, strlen(begin));
}

bool setting_check_own_file(const char *path, const char *begin, const char *key, struct error *err)
{
	if (!setting_check_in_folder(path, key, err))
		return false;
	return !path || is_own(path, begin) ||
	       error_set(err, ERROR_INVALID, NULL,
		       "%s: %s is there and is something else, which would be overwritten: name a file of "
		       "its own",
		       key, path);
}

bool setting_check_address(const char *address, const char *key, struct error *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
	int status;

	if (!address || !*address)
		return true;
	status = getaddrinfo(address, NULL, &hints, &found);
	if (status)
		return error_set(err, ERROR_INVALID, NULL, "%s: \"%s\" is not an address to listen on: %s",
			key, address, gai_strerror(status));
	freeaddrinfo(found);
	return true;
}
