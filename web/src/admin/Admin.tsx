import {
  AppstoreOutlined,
  AuditOutlined,
  ClockCircleOutlined,
  ClusterOutlined,
  DeploymentUnitOutlined,
  EnvironmentOutlined,
  GoldOutlined,
  HddOutlined,
  HomeOutlined,
  MailOutlined,
  ProfileOutlined,
  SolutionOutlined,
  TeamOutlined,
  ThunderboltOutlined,
  UsergroupAddOutlined,
  UserOutlined,
} from "@ant-design/icons";
import { NoticesBadge } from "@shared/money/NoticesBadge";
import { useRole } from "@shared/session";
import { type MenuEntry, Shell } from "@shared/ui/Shell";
import { useTranslation } from "react-i18next";
import { Navigate, Route, Routes } from "react-router-dom";
import { Applications } from "./pages/Applications";
import { ApplicationsBadge } from "./pages/ApplicationsBadge";
import { AuditTrail } from "./pages/AuditTrail";
import { GroupDetail } from "./pages/GroupDetail";
import { Groups } from "./pages/Groups";
import { Home } from "./pages/Home";
import { Invitations } from "./pages/Invitations";
import { NodeDetail } from "./pages/NodeDetail";
import { Nodes } from "./pages/Nodes";
import { Pools } from "./pages/Pools";
import { Presets } from "./pages/Presets";
import { Resources } from "./pages/Resources";
import { Sites } from "./pages/Sites";
import { Specs } from "./pages/Specs";
import { TimeManagement } from "./pages/TimeManagement";
import { Users } from "./pages/Users";
import { Work } from "./pages/Work";

/** The miner management end. */
export function Admin({ other }: { other: string }) {
  const { t } = useTranslation();
  const miner = useRole("miner");
  const operator = useRole();
  const menu: MenuEntry[] = [
    { path: "/home", label: t("menu.home"), icon: <HomeOutlined aria-hidden /> },
    {
      path: "/resource-management",
      label: t("menu.resourceManagement"),
      icon: <ClusterOutlined aria-hidden />,
      children: [
        { path: "/nodes", label: t("menu.nodes"), icon: <HddOutlined aria-hidden /> },
        { path: "/sites", label: t("menu.sites"), icon: <EnvironmentOutlined aria-hidden /> },
        { path: "/resources", label: t("menu.resources"), icon: <GoldOutlined aria-hidden /> },
        { path: "/specifications", label: t("menu.specs"), icon: <ProfileOutlined aria-hidden /> },
        { path: "/resource-pools", label: t("menu.pools"), icon: <DeploymentUnitOutlined aria-hidden /> },
      ],
    },
    { path: "/work", label: t("menu.work"), icon: <ThunderboltOutlined aria-hidden /> },
    {
      path: "/people",
      label: t("menu.people"),
      icon: <TeamOutlined aria-hidden />,
      children: [
        { path: "/users", label: t("menu.users"), icon: <UserOutlined aria-hidden /> },
        { path: "/groups", label: t("menu.groups"), icon: <UsergroupAddOutlined aria-hidden /> },
        ...(operator
          ? [
              {
                path: "/applications",
                label: t("menu.applications"),
                badge: <ApplicationsBadge />,
                icon: <SolutionOutlined aria-hidden />,
              },
              { path: "/invitations", label: t("menu.invitations"), icon: <MailOutlined aria-hidden /> },
            ]
          : []),
      ],
    },
    {
      path: "/time-management",
      label: t("menu.time"),
      badge: <NoticesBadge />,
      icon: <ClockCircleOutlined aria-hidden />,
    },
    { path: "/preset-assets", label: t("menu.presets"), icon: <AppstoreOutlined aria-hidden /> },
    { path: "/audit-trail", label: t("menu.audit"), icon: <AuditOutlined aria-hidden /> },
  ];
  return (
    <Shell end={t("login.admin.title")} forRole="miner" other={other} menu={miner ? menu : []} dark>
      <Routes>
        <Route path="/home" element={<Home />} />
        <Route path="/nodes" element={<Nodes />} />
        <Route path="/nodes/:id" element={<NodeDetail />} />
        <Route path="/sites" element={<Sites />} />
        <Route path="/resources" element={<Resources />} />
        <Route path="/specifications" element={<Specs />} />
        <Route path="/resource-pools" element={<Pools />} />
        <Route path="/work" element={<Work />} />
        <Route path="/users" element={<Users />} />
        <Route path="/groups" element={<Groups />} />
        <Route path="/groups/:id" element={<GroupDetail />} />
        {operator && <Route path="/applications" element={<Applications />} />}
        {operator && <Route path="/invitations" element={<Invitations />} />}
        <Route path="/time-management" element={<TimeManagement />} />
        <Route path="/preset-assets" element={<Presets />} />
        <Route path="/audit-trail" element={<AuditTrail />} />
        <Route path="*" element={<Navigate to="/home" replace />} />
      </Routes>
    </Shell>
  );
}
