/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_at - system calls on what lies below the store's root, and on nothing else.
 *
 * Who can write into the folder decides what the registry serves, but does not make the worker read or destroy what lies elsewhere: no symbolic
 * link below the root is followed, wherever in the path it stands and whenever it is put there (openat2(2) with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS; where the kernel, or what confines the process, does not have that, folder by folder). A path that one lies in
 * fails with ELOOP. The root itself, and all above it, may be reached through links: it was opened when the store was. Mounts below the root
 * are the operator's, and are crossed.
 *
 * Paths are those of struct fs_path: the store's place and what is below it. Nothing here waits for the other end of a pipe. errno says
 * why something failed.
 * Thread  any that may block.
 */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <sys/stat.h>

struct store;

/* As open(2), with O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC. */
int fs_at_open(const struct store *store, const char *path, int flags, mode_t mode);
DIR *fs_at_opendir(const struct store *store, const char *path);
/* Of the thing itself, also when that is a link. */
bool fs_at_stat(const struct store *store, const char *path, struct stat *ret);
bool fs_at_mkdir(const struct store *store, const char *path, mode_t mode);
bool fs_at_unlink(const struct store *store, const char *path);
/* RENAME_NOREPLACE, or 0. */
bool fs_at_rename(const struct store *store, const char *from, const char *to, unsigned flags);
bool fs_at_link(const struct store *store, const char *from, const char *to);
/* From anywhere. */
bool fs_at_move_in(const struct store *store, const char *from, const char *to);
/* fsync(2) of a folder; file systems that keep folders durable by themselves are fine too. */
bool fs_at_sync(const struct store *store, const char *folder);

/* Does openat2(2) work here? */
bool fs_at_has_openat2(int root);
