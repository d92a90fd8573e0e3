/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * docker_read.h - an Engine's JSON into struct docker_container. For userspace/docker alone; pure.
 */
#ifndef ARCHAIC_DOCKER_READ_H
#define ARCHAIC_DOCKER_READ_H

#include "docker/docker.h"

/** docker_id_valid() - 64 lower-case hex digits. */
bool docker_id_valid(const char *id);

/** docker_name_valid() - [A-Za-z0-9][A-Za-z0-9_.-]*, shorter than DOCKER_NAME_MAX. */
bool docker_name_valid(const char *name);

/** docker_read_list() - GET /containers/json. 0, -EPROTO or -ENOMEM with @why, a static sentence; @ret on success only. */
int docker_read_list(const char *text, size_t len, struct docker_list *ret, const char **why);

/** docker_read_inspect() - GET /containers/ID/json. The same; @ret is zeroed first. */
int docker_read_inspect(const char *text, size_t len, struct docker_container *ret,
			const char **why);

/** docker_read_message() - {"message": …} of an error, cleaned; "" where it says nothing. */
void docker_read_message(const char *text, size_t len, char *ret, size_t size);

#endif
