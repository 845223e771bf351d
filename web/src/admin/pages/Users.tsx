import { useAddress } from "@shared/address";
import { api, ok, type Schemas } from "@shared/api/client";
import { formatBytes } from "@shared/format";
import { GroupSelect } from "@shared/people/GroupSelect";
import { GroupTags, RoleTags, ROLES, UserStatusTag } from "@shared/people/tags";
import { useRole, useSession } from "@shared/session";
import { Unc, When } from "@shared/ui/bits";
import { Filter } from "@shared/ui/Filter";
import { useAct } from "@shared/ui/feedback";
import { type Column, ListPage } from "@shared/ui/ListPage";
import { Button, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { InvitationDialog } from "./InvitationDialog";
import { UserActions } from "./UserActions";
import { UserDrawer } from "./UserDrawer";
import { CreateUser, EditUser, FreezeDialog } from "./UsersDialogs";
import { loadUsers, type UserWithHours as User } from "./UsersWallet";

type Role = Schemas["Role"];
type Status = User["status"];

/** Who may use the platform. Operators change; miners look. */
export function Users() {
  const { t } = useTranslation();
  const act = useAct();
  const canChange = useRole();
  const { user: me } = useSession();
  const [role, setRole] = useAddress<Role>("role");
  const [status, setStatus] = useAddress<Status>("status");
  const [group, setGroup] = useAddress<string>("group");
  const [shown, setShown] = useAddress<string>("user");
  const [creating, setCreating] = useState(false);
  const [inviting, setInviting] = useState(false);
  const [editing, setEditing] = useState<User>();
  const [freezing, setFreezing] = useState<User[]>([]);
  const filter = { role, status, group_id: group };

  const storage: Column<User> = {
    title: t("storage.title"),
    dataIndex: "storage",
    align: "right",
    render: (one: User["storage"]) =>
      one ? t("storage.used", { used: formatBytes(one.used_bytes), most: formatBytes(one.max_bytes) }) : "–",
  };
  const columns: Column<User>[] = [
    {
      title: t("login.username"),
      dataIndex: "username",
      sort: "username",
      render: (username, user) => (
        <>
          <Button
            type="link"
            className="long"
            style={{ padding: 0, height: "auto", fontWeight: 600 }}
            onClick={() => setShown(user.id)}
          >
            {username}
          </Button>
          <Typography.Text type="secondary" className="reason">
            {user.display_name || user.email}
          </Typography.Text>
        </>
      ),
    },
    { title: t("users.roles"), dataIndex: "roles", render: (roles: Role[]) => <RoleTags roles={roles} /> },
    {
      title: t("menu.groups"),
      dataIndex: "groups",
      render: (groups: User["groups"]) => (groups?.length ? <GroupTags groups={groups} /> : "–"),
    },
    { title: t("common.status"), dataIndex: "status", render: (_, user) => <UserStatusTag user={user} /> },
    {
      title: t("users.remaining"),
      dataIndex: "available",
      align: "right",
      render: (hours) => (hours === undefined ? "–" : <Unc value={hours} />),
    },
    ...(canChange ? [storage] : []),
    {
      title: t("users.lastSeen"),
      dataIndex: "last_seen_at",
      render: (at) => (at ? <When at={at} /> : t("users.never")),
    },
    { title: t("common.created"), dataIndex: "created_at", sort: "created_at", render: (at) => <When at={at} /> },
  ];
  if (canChange)
    columns.push({
      key: "actions",
      render: (_, user) => (
        <UserActions user={user} onEdit={() => setEditing(user)} onFreeze={() => setFreezing([user])} />
      ),
    });

  const unfreeze = async (users: User[], done: () => void) => {
    const all = () =>
      Promise.all(
        users.map((user) =>
          ok(api.POST("/api/v1/users/{user_id}/unfreeze", { params: { path: { user_id: user.id } } })),
        ),
      );
    if (await act(all, t("users.unfreezeDone", { count: users.length }))) done();
  };

  return (
    <>
      <ListPage
        title={t("menu.users")}
        about={canChange ? t("users.about") : t("users.aboutRenters")}
        queryKey={["users", filter]}
        load={(query) => loadUsers({ ...query, ...filter }, canChange)}
        columns={columns}
        rowKey={(user) => user.id}
        extra={
          canChange && (
            <span className="tags">
              <Button onClick={() => setInviting(true)}>{t("users.invite")}</Button>
              <Button type="primary" onClick={() => setCreating(true)}>
                {t("users.create")}
              </Button>
            </span>
          )
        }
        filtered={Boolean(role || status || group)}
        filters={
          <>
            <Filter
              label={t("users.roles")}
              value={role}
              onChange={setRole}
              options={ROLES.map((value) => ({ value, label: t(`role.${value}`) }))}
            />
            <Filter
              label={t("common.status")}
              value={status}
              onChange={setStatus}
              options={(["active", "frozen"] as const).map((value) => ({ value, label: t(`userStatus.${value}`) }))}
            />
            <GroupSelect
              allowClear
              aria-label={t("menu.groups")}
              placeholder={t("menu.groups")}
              value={group}
              onChange={setGroup}
              style={{ minWidth: 150 }}
            />
          </>
        }
        file={{ path: "/api/v1/users", query: filter }}
        bulk={
          canChange
            ? (rows, done) => {
                const active = rows.filter((user) => user.status === "active" && user.id !== me.id);
                const frozen = rows.filter((user) => user.status === "frozen");
                return (
                  <>
                    <Button danger disabled={active.length === 0} onClick={() => setFreezing(active)}>
                      {t("users.freeze")}
                    </Button>
                    <Button disabled={frozen.length === 0} onClick={() => unfreeze(frozen, done)}>
                      {t("users.unfreeze")}
                    </Button>
                  </>
                );
              }
            : undefined
        }
        empty={t("users.empty")}
      />
      <CreateUser open={creating} onClose={() => setCreating(false)} />
      <InvitationDialog open={inviting} onClose={() => setInviting(false)} />
      <EditUser user={editing} onClose={() => setEditing(undefined)} />
      <FreezeDialog users={freezing} onClose={() => setFreezing([])} />
      <UserDrawer
        id={shown}
        onClose={() => setShown(undefined)}
        actions={(user) =>
          canChange && <UserActions user={user} onEdit={() => setEditing(user)} onFreeze={() => setFreezing([user])} />
        }
      />
    </>
  );
}
