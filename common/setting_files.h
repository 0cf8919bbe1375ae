/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setting_files - do the files and addresses that settings name exist, as a start will need them? For `verify`: nothing is written,
 * nothing is bound.
 *
 * Path or address NULL: it is not set, which is right. The error names the key.
 * Thread  any that may wait for disk and DNS.
 */
#pragma once

#include "common/error.h"

bool setting_check_readable(const char *path, const char *key, struct error *err) MUST_CHECK;
/* A folder, or nothing yet: then it is made at the start. */
bool setting_check_folder(const char *path, const char *key, struct error *err) MUST_CHECK;
/* A file that is made at the start, in a folder that is there. */
bool setting_check_in_folder(const char *path, const char *key, struct error *err) MUST_CHECK;
/* The same, and where it is there already it is one of ours, that may be written anew: empty, or it begins with this. */
bool setting_check_own_file(const char *path, const char *begin, const char *key, struct error *err) MUST_CHECK;
/* To listen on. */
bool setting_check_address(const char *address, const char *key, struct error *err) MUST_CHECK;
