import { api, ok } from "@shared/api/client";
import { StorageCard } from "@shared/assets/Storage";
import { formatUnc } from "@shared/format";
import { QuotaCard } from "@shared/people/Quota";
import { GroupTags, RoleTags, UserStatusTag } from "@shared/people/tags";
import { useRole } from "@shared/session";
import { Copyable, Moment } from "@shared/ui/bits";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { useQuery } from "@tanstack/react-query";
import { Descriptions, Drawer, Flex, Skeleton, Typography } from "antd";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { type UserWithHours as User, withHours } from "./UsersWallet";

interface Props {
  id: string | undefined;
  onClose: () => void;
  actions: (user: User) => ReactNode;
}

/** All of one user: who, machine hours, quota. */
export function UserDrawer({ id, onClose, actions }: Props) {
  const { t } = useTranslation();
  const operator = useRole();
  const { data, error, refetch } = useQuery({
    queryKey: ["users", "one", id],
    queryFn: async () => {
      const found = await ok(api.GET("/api/v1/users/{user_id}", { params: { path: { user_id: id ?? "" } } }));
      return (await withHours([found]))[0] ?? found;
    },
    enabled: Boolean(id),
  });
  const user = id ? data : undefined;
  return (
    <Drawer title={user?.username ?? t("users.detail")} open={Boolean(id)} onClose={onClose} size={640} destroyOnHidden>
      {error && !user ? (
        <ErrorCard error={error} retry={refetch} />
      ) : user ? (
        <Flex vertical gap="middle">
          {actions(user)}
          <Facts user={user} />
          {operator && (
            <>
              <QuotaCard
                subject={{ kind: "user", id: user.id, name: user.username }}
                canChange={Boolean(actions(user))}
              />
              <StorageCard userId={user.id} canChange={Boolean(actions(user))} />
            </>
          )}
        </Flex>
      ) : (
        <Skeleton active />
      )}
    </Drawer>
  );
}

function Facts({ user }: { user: User }) {
  const { t } = useTranslation();
  const operator = useRole();
  const facts: [string, ReactNode][] = [
    [t("users.displayName"), user.display_name || "–"],
    [t("users.email"), user.email || "–"],
    [t("users.roles"), <RoleTags key="roles" roles={user.roles} />],
    [t("menu.groups"), user.groups?.length ? <GroupTags key="groups" groups={user.groups} /> : "–"],
    [
      t("common.status"),
      <span className="tags" key="status">
        <UserStatusTag user={user} />
        {user.frozen_reason && <Typography.Text type="secondary">{user.frozen_reason}</Typography.Text>}
      </span>,
    ],
    [
      t("users.wallet"),
      user.available === undefined ? (
        "–"
      ) : (
        <Link key="wallet" to={`/time-management?search=${encodeURIComponent(user.username)}`}>
          {formatUnc(user.available)}
        </Link>
      ),
    ],
    [t("security.secondFactor"), user.second_factor ? t("security.on") : t("security.off")],
    [t("users.lastSeen"), user.last_seen_at ? <Moment key="seen" at={user.last_seen_at} /> : t("users.never")],
    [t("common.created"), <Moment key="created" at={user.created_at} />],
    [t("common.id"), <Copyable key="id" text={user.id} />],
  ];
  return (
    <>
      <Descriptions
        size="small"
        bordered
        column={1}
        items={facts.map(([label, children]) => ({ key: label, label, children }))}
      />
      {operator && <Link to={`/audit-trail?object_id=${user.id}`}>{t("users.history")}</Link>}
    </>
  );
}
