// Every word of the page, in English and Chinese.
const WORDS = {
  live: ["live", "实时"],
  waiting: ["connecting", "连接中"],
  silent: ["no answer", "无应答"],
  offline: ["offline", "离线"],
  problemsTile: ["Problems", "问题"],
  lost: ["The gateway does not answer since {0}. What you see is its last known state.", "网关自 {0} 起无应答，以下为最后已知状态。"],
  troubled: ["The gateway refuses: {0}", "网关拒绝了请求：{0}"],
  switch: ["中文", "English"],
  leave: ["Forget token", "清除令牌"],
  doorTitle: ["Status of this gateway", "网关状态"],
  doorText: ["Enter a consumer’s token (linli token new NAME prints one). It stays in this browser tab only.", "请输入令牌（由 linli token new NAME 生成）。令牌只保存在此标签页中。"],
  token: ["Token", "令牌"],
  enter: ["Show the status", "查看状态"],
  wrongToken: ["The gateway does not know this token.", "网关不识别此令牌。"],
  slowed: ["Too many wrong tokens from this address: wait a minute.", "错误令牌过多，请一分钟后再试。"],
  version: ["version {0}", "版本 {0}"],
  problems: ["What needs attention", "需要处理"],
  doThis: ["What to do:", "处理建议："],
  since: ["since {0}", "自 {0}"],
  alarms: ["Alarms", "告警"],
  alarmsActive: ["Active alarms", "活动告警"],
  noAlarms: ["No active alarm.", "当前无告警。"],
  watched: ["{0} conditions watched", "监视 {0} 个条件"],
  unacknowledged: ["not acknowledged", "未确认"],
  acknowledged: ["acknowledged by {0}", "已由 {0} 确认"],
  returned: ["over, not acknowledged", "已恢复，未确认"],
  newAlarm: ["New alarm: {0}", "新告警：{0}"],
  overAlarm: ["Alarm over: {0}", "告警恢复：{0}"],
  critical: ["critical", "紧急"],
  major: ["major", "重要"],
  minor: ["minor", "次要"],
  warning: ["warning", "警告"],
  devices: ["Devices", "设备"],
  noDevices: ["No devices are configured.", "未配置设备。"],
  online: ["online", "在线"],
  degraded: ["degraded", "降级"],
  starting: ["starting", "启动中"],
  ended: ["ended", "已结束"],
  down: ["down", "断开"],
  opening: ["opening", "打开中"],
  bad: ["bad", "坏值"],
  uncertain: ["uncertain", "可疑"],
  stale: ["stale", "陈旧"],
  on: ["on", "开"],
  off: ["off", "关"],
  hiddenValues: ["Values are not shown to this token.", "此令牌无权查看数值。"],
  noValues: ["No value yet.", "尚无数值。"],
  cameras: ["Cameras", "摄像机"],
  noPicture: ["no picture yet", "尚无图片"],
  picture: ["Last picture of {0}", "{0} 的最近图片"],
  frames: ["{0} frames, {1} looked at", "{0} 帧，已分析 {1}"],
  in: ["in", "驶入"],
  out: ["out", "驶出"],
  none: ["turned back", "折返"],
  toward: ["towards", "驶近"],
  away: ["away", "驶离"],
  left: ["to the left", "向左"],
  right: ["to the right", "向右"],
  allow: ["allowed", "白名单"],
  deny: ["denied", "黑名单"],
  link: ["Link and backlog", "上行与积压"],
  noUplinks: ["No uplink: the platform pulls over HTTP.", "未配置上行：由平台通过 HTTP 拉取。"],
  inFlight: ["{0} in flight", "{0} 条在途"],
  consumer: ["Waiting for", "待确认"],
  perception: ["perception", "感知"],
  management: ["management", "管理"],
  alarm: ["alarm", "告警"],
  disposal: ["disposal", "处置"],
  backlog: ["Records waiting", "待送记录"],
  nothingWaits: ["all confirmed", "全部已确认"],
  noConsumers: ["no consumer yet", "尚无消费者"],
  largestLag: ["for {0}", "等待 {0}"],
  store: ["Store", "存储"],
  records: ["Records", "记录"],
  media: ["Pictures and clips", "图片与视频"],
  of: ["{0} of {1}", "{0} / {1}"],
  unstored: ["{0} not yet on disk", "{0} 条未落盘"],
  lines: ["Lines", "线路"],
  busy: ["{0} busy", "占用 {0}"],
  transactions: ["{0} transactions, {1} errors", "{0} 次事务，{1} 次错误"],
  events: ["Latest events", "最近事件"],
  noEvents: ["Nothing yet.", "暂无。"],
  uptime: ["Running for", "已运行"],
  full: ["Store used", "存储占用"],
  allWell: ["all is well", "一切正常"],
  unacknowledgedCount: ["{0} not acknowledged", "{0} 条未确认"],
  notOnline: ["{0} not online", "{0} 台不在线"],
  allOnline: ["all online", "全部在线"],
  now: ["now", "刚刚"],
  ago: ["{0} ago", "{0}前"],
  second: ["s", "秒"],
  minute: ["min", "分钟"],
  hour: ["h", "小时"],
  day: ["d", "天"],
  "linli.alarm.raised.v1": ["raised", "告警产生"],
  "linli.alarm.updated.v1": ["updated", "告警更新"],
  "linli.alarm.cleared.v1": ["cleared", "告警恢复"],
  "linli.device.state.v1": ["device", "设备"],
  "linli.camera.state.v1": ["camera", "摄像机"],
  "linli.gateway.state.v1": ["gateway", "网关"],
  "linli.config.changed.v1": ["configuration changed", "配置变更"],
  "linli.gap.v1": ["records gone", "记录缺口"],
  "linli.disposal.acknowledged.v1": ["acknowledged", "告警确认"],
  "linli.disposal.command.v1": ["command", "命令"],
  "linli.inspection.v1": ["inspection", "巡检"],
};

let chosen = sessionStorage.getItem("language") ?? (navigator.language?.toLowerCase().startsWith("zh") ? "zh" : "en");

export function language() {
  return chosen;
}

export function changeLanguage() {
  chosen = chosen === "zh" ? "en" : "zh";
  sessionStorage.setItem("language", chosen);
}

// A word of the page with its places filled; a name that is no word of the page is shown as it is.
export function word(name, ...values) {
  const pair = WORDS[name];
  if (pair === undefined) return String(name ?? "");
  return pair[chosen === "zh" ? 1 : 0].replace(/\{(\d)\}/g, (_, index) => values[Number(index)] ?? "");
}

// A text of the configuration in the page's language, or in any that it has.
export function worded(text, otherwise) {
  if (typeof text === "string") return text;
  return text?.[chosen] ?? Object.values(text ?? {})[0] ?? otherwise;
}
