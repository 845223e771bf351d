import { LeftOutlined } from "@ant-design/icons";
import { api, MAX_ROWS, ok, type Schemas } from "@shared/api/client";
import { Members } from "@shared/people/Members";
import { QuotaCard } from "@shared/people/Quota";
import { useRole } from "@shared/session";
import { ErrorCard } from "@shared/ui/ErrorCard";
import { useQuery } from "@tanstack/react-query";
import { Button, Card, Col, Empty, Flex, Row, Skeleton, Typography } from "antd";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router-dom";
import { EditGroup, type NamedGroup, useDeleteGroup } from "./Groups";

/** One group: its members and managers, its quota, and the pools that it sees. */
export function GroupDetail() {
  const { t } = useTranslation();
  const { id = "" } = useParams();
  const navigate = useNavigate();
  const canChange = useRole();
  const deleteGroup = useDeleteGroup();
  const [editing, setEditing] = useState<NamedGroup>();
  const { data, error, refetch } = useQuery({
    queryKey: ["groups", "one", id],
    queryFn: () => ok(api.GET("/api/v1/groups/{group_id}", { params: { path: { group_id: id } } })),
  });
  const back = (
    <Link to="/groups">
      <LeftOutlined aria-hidden /> {t("groups.all")}
    </Link>
  );
  if (error && !data)
    return (
      <>
        {back}
        <ErrorCard error={error} retry={refetch} />
      </>
    );
  if (!data) return <Skeleton active />;

  return (
    <section>
      {back}
      <Flex justify="space-between" align="start" gap="small" wrap style={{ margin: "8px 0 16px" }}>
        <div>
          <Typography.Title level={3} style={{ margin: 0 }}>
            {data.name}
          </Typography.Title>
          <Typography.Text type="secondary">{data.description}</Typography.Text>
        </div>
        {canChange && (
          <span className="tags">
            <Button onClick={() => setEditing(data)}>{t("common.edit")}</Button>
            <Button danger onClick={() => deleteGroup(data, () => navigate("/groups", { replace: true }))}>
              {t("common.delete")}
            </Button>
          </span>
        )}
      </Flex>
      <Row gutter={[16, 16]}>
        <Col xs={24} xl={14}>
          <Members group={data} />
        </Col>
        <Col xs={24} xl={10}>
          <Flex vertical gap="middle">
            <QuotaCard subject={{ kind: "group", id, name: data.name }} canChange={canChange} />
            <Pools groupId={id} />
          </Flex>
        </Col>
      </Row>
      <EditGroup group={editing} onClose={() => setEditing(undefined)} />
    </section>
  );
}

function Pools({ groupId }: { groupId: string }) {
  const { t } = useTranslation();
  const operator = useRole();
  const { data, error, refetch } = useQuery({
    queryKey: ["pools", "all"],
    queryFn: () => ok(api.GET("/api/v1/pools", { params: { query: { limit: MAX_ROWS } } })),
  });
  const pools = data?.items.filter((pool) => pool.groups.some((group) => group.id === groupId));
  const offers = (pool: Schemas["PoolOut"]) =>
    new Set([...pool.notebook_specs, ...pool.training_specs].map((spec) => spec.id)).size;
  return (
    <Card size="small" title={<h4 className="card-title">{t("groups.pools")}</h4>}>
      {error && !data ? (
        <ErrorCard error={error} retry={refetch} />
      ) : !pools ? (
        <Skeleton active paragraph={{ rows: 1 }} title={false} />
      ) : pools.length === 0 ? (
        <Empty
          image={Empty.PRESENTED_IMAGE_SIMPLE}
          description={t(operator ? "groups.noPools" : "groups.noneOfMine")}
        />
      ) : (
        <Flex vertical gap="small">
          {pools.map((pool) => (
            <Flex key={pool.id} justify="space-between" gap="small" wrap>
              <Link to={`/resource-pools?search=${encodeURIComponent(pool.name)}`}>{pool.name}</Link>
              <Typography.Text type="secondary">
                {t("groups.nodes", { count: pool.nodes.length })} · {t("groups.offers", { count: offers(pool) })}
              </Typography.Text>
            </Flex>
          ))}
          <Typography.Text type="secondary">{t("groups.poolsHint")}</Typography.Text>
        </Flex>
      )}
    </Card>
  );
}
