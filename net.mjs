import { System, SETTINGS, CLIENT } from './dist/bench/systems.js';
import { download, upload, firstByte } from './dist/bench/traffic.js';
import { cpuTimes } from './dist/bench/usage.js';
import { execSync, spawn } from 'node:child_process';
const sys = await System.start(SETTINGS.find(s=>s.name===(process.env.SYS||'cepa')), (proxy, site)=>download({proxy,site},1000));
console.error('up', sys.firstFetch);
const way={proxy:sys.network.proxy(CLIENT),site:sys.site};
const mb=+process.env.MB||60;
const cpu=()=>{const p=sys.pids(CLIENT);return Object.fromEntries(Object.entries(p).map(([k,v])=>[k,v.map(x=>{const c=cpuTimes(x);return c.user+c.system})]))};
for(let i=0;i<(+process.env.N||4);i++){
 const c0=cpu();const t=performance.now();
 let prof;
 if(process.env.PERF&&i===+process.env.PERF){const pid=sys.pids(CLIENT).client[0];prof=spawn('perf',['record','-F','3000','--call-graph','fp','-o','/tmp/mid.data','-p',String(pid),'--','sleep','5'],{stdio:'ignore'});}
 await (process.env.UP?upload:download)(way,mb*1e6);
 const c1=cpu();const s=(performance.now()-t)/1e3;
 console.log((mb/s).toFixed(1),'MB/s',Object.entries(c1).map(([k,v])=>k+' '+v.map((x,j)=>((x-c0[k][j])*1000/mb).toFixed(1)).filter(x=>x!=='0.0').join(',')).join('  '));
 if(prof)await new Promise(r=>prof.on('exit',r));
}
if(process.env.HOLD)await new Promise(r=>setTimeout(r,+process.env.HOLD*1000));
await sys.stop();process.exit();
